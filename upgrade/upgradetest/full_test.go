package upgradetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// fullHook fills the volume, to the last byte, before one step.
const fullHook = `#!/bin/sh
[ "$1 $2" = "before %s" ] || exit 0
cd /var/lib/postgresql
for size in 1048576 4096 512; do
	dd if=/dev/zero of=filler bs=$size oflag=append conv=notrunc,fsync 2>/dev/null
done
echo "the volume is full: $(df . | tail -n 1)" >&2
`

// The volume is filled by others in the middle of it. What cannot go on is
// undone, and nothing is lost once there is room again.
func TestAVolumeThatGetsFullAtAnyStepLosesNothing(t *testing.T) {
	steps := []node.StepName{node.StepPrepare, node.StepPgUpgrade, node.StepSwitch, node.StepStart, node.StepAfter}
	random := testbed.Seed(t)
	random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, step := range steps[:testbed.Rounds(2, len(steps))] {
		t.Run("before "+string(step), func(t *testing.T) {
			t.Parallel()
			l := seededLoop(t, rows(15), "ext4", 400<<20)
			s := spec(15, l.At(home))
			s.Files = []testbed.File{{Path: "/etc/pgbaton/hooks.d/full", Data: fmt.Sprintf(fullHook, step), Mode: 0o755}}
			c := testbed.Run(t, s)
			serves(t, c, 15)
			before := testbed.SnapshotRows(c, testbed.Access{})
			load := begin(t, c)
			was := drop(t, l.Path(), "target: 17\nmode: link\n")
			c.WaitLog("the volume is full", long)
			time.Sleep(10 * time.Second) // what cannot be written has been tried
			if !c.Inspect().Running {
				t.Fatal("the container ended")
			}
			t.Logf("with the volume full: %s", describe(result(t, l.Path())))
			if err := os.Remove(filepath.Join(l.Path(), "filler")); err != nil {
				t.Fatal(err)
			}
			u := became(t, c, l.Path(), was, node.UpgradeDone, node.UpgradeUndone, node.UpgradeFailed, node.UpgradeRefused)
			major := 15
			if u.Outcome == node.UpgradeDone {
				major = 17
			}
			t.Log(describe(u))
			serves(t, c, major)
			flowing(t, load)
			audited(t, load, c)
			same(t, withoutUnlogged(before), withoutUnlogged(testbed.SnapshotRows(c, testbed.Access{})))
		})
	}
}

// Too little room is seen beforehand, by mode.
func TestTooLittleRoomForTheModeIsRefusedBeforeAnythingIsStopped(t *testing.T) {
	t.Parallel()
	l := seededLoop(t, rows(15), "ext4", 150<<20)
	c := testbed.Run(t, spec(15, l.At(home)))
	serves(t, c, 15)
	psql(t, c, "create table big as select repeat('x', 1000) as x from generate_series(1, 30000)")
	started := psql(t, c, "select pg_postmaster_start_time()")
	u := became(t, c, l.Path(), drop(t, l.Path(), "target: 17\nmode: copy\n"), node.UpgradeRefused)
	says(t, describe(u), "MB")
	if u := became(t, c, l.Path(), drop(t, l.Path(), "target: 17\nmode: clone\n"), node.UpgradeRefused); u.Why == "" {
		t.Error("it does not say why")
	} else {
		says(t, describe(u), "clone")
	}
	if now := psql(t, c, "select pg_postmaster_start_time()"); now != started {
		t.Error("the server was started again")
	}
	nothingLeft(t, l.Path())
}
