package upgradetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// ground is where a crash happens.
type ground struct {
	mode  node.UpgradeMode
	fs    string // of the loop mount: clone needs xfs
	power bool   // the power is lost, not only the container killed
	mount bool   // the mount is the data directory: the switch is many renames
}

func (g ground) String() string {
	s := fmt.Sprintf("%s on %s", g.mode, g.fs)
	if g.mount {
		s += " inside the mount"
	}
	if g.power {
		return s + ", power lost"
	}
	return s + ", killed"
}

var grounds = []ground{
	{node.ModeLink, "ext4", false, false},
	{node.ModeLink, "ext4", true, true},
	{node.ModeCopy, "xfs", true, false},
	{node.ModeClone, "xfs", false, true},
	{node.ModeLink, "xfs", true, false},
	{node.ModeLink, "ext4", false, true},
	{node.ModeCopy, "ext4", false, false},
	{node.ModeClone, "xfs", true, false},
}

func (g ground) template() template {
	if g.mount {
		return officialVolume(15)
	}
	return rows(15)
}

func (g ground) target() string {
	if g.mount {
		return legacy
	}
	return home
}

func (g ground) spec(l *testbed.Loop, env ...string) testbed.Spec {
	return spec(15, l.At(g.target()), env...)
}

// loopSize has room for two clusters; the file is sparse.
const loopSize = 700 << 20

// journey is one upgrade under load that is interrupted.
type journey struct {
	ground
	t      *testing.T
	loop   *testbed.Loop
	c      *testbed.Container
	before testbed.Contents
	was    node.Upgrade
	load   *testbed.Running
}

// depart starts a node on a fresh volume and the load.
func depart(t *testing.T, g ground, env ...string) *journey {
	t.Helper()
	j := &journey{ground: g, t: t, loop: seededLoop(t, g.template(), g.fs, loopSize)}
	j.c = testbed.Run(t, g.spec(j.loop, env...))
	serves(t, j.c, 15)
	j.before = testbed.SnapshotRows(j.c, testbed.Access{})
	load := testbed.Load{Target: func(ctx context.Context) (string, error) { return j.c.DSN(ctx) }, Think: 5 * time.Millisecond, Writers: 2}
	if err := load.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	j.load = load.Start(t.Context())
	flowing(t, j.load)
	j.was = drop(t, j.loop.Path(), fmt.Sprintf("target: 17\nmode: %s\nanalyze: off\ntrial: off\n", g.mode))
	return j
}

// crash kills the container, or cuts the power.
func (j *journey) crash() {
	j.t.Helper()
	j.load.Stop()
	interrupt(j.t, j.c, j.loop, j.power)
}

// interrupt kills a container, or cuts the power of its volume.
func interrupt(t *testing.T, c *testbed.Container, loop *testbed.Loop, power bool) {
	t.Helper()
	if power {
		loop.PowerLoss(c)
		return
	}
	c.Kill("KILL")
	c.Wait(long)
	c.Remove()
}

// arrive starts the node again and fails unless it serves the old cluster or
// the new one, complete, and says which.
func (j *journey) arrive() node.Upgrade {
	t := j.t
	t.Helper()
	j.c = testbed.Run(t, j.spec(j.loop))
	u := became(t, j.c, j.loop.Path(), j.was, node.UpgradeDone, node.UpgradeUndone, node.UpgradeFailed)
	major := 15
	if u.Outcome == node.UpgradeDone {
		major = 17
	}
	serves(t, j.c, major)
	after := testbed.SnapshotRows(j.c, testbed.Access{})
	// A server that was killed forgets unlogged tables' rows; that one that was
	// stopped for the upgrade does not.
	same(t, withoutUnlogged(j.before), withoutUnlogged(after))
	rep, err := j.load.Audit(t.Context(), j.c.DB())
	if err != nil {
		t.Error(err)
	} else if err := rep.Err(); err != nil {
		t.Error(err)
	}
	if u.Outcome != node.UpgradeDone {
		nothingLeft(t, j.loop.Path())
	}
	for _, name := range []string{"upgrade", ".pgbaton/upgrade"} {
		if _, err := os.Lstat(filepath.Join(j.loop.Path(), name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	psql(t, j.c, "create table alive ()")
	stopped(t, j.c)
	j.c.Start()
	serves(t, j.c, major)
	psql(t, j.c, "drop table alive")
	return u
}

func withoutUnlogged(c testbed.Contents) testbed.Contents {
	c = maps.Clone(c)
	for name, lines := range c {
		c[name] = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, "unlogged ") })
	}
	return c
}

// moving is what differs in the names of points from one upgrade to the next.
var moving = regexp.MustCompile(`\d{8}T\d{6}\.\d{3}Z`)

// passed lists the crash points of a whole upgrade, in their order.
func passed(t *testing.T, g ground) []string {
	t.Helper()
	j := depart(t, g, durable.CrashLogEnv+"=1")
	became(t, j.c, j.loop.Path(), j.was, node.UpgradeDone)
	j.load.Stop()
	log := j.c.Logs()
	j.c.Remove()
	var list []string
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`pgbaton: crash point (\S+)`).FindAllStringSubmatch(log, -1) {
		p := moving.ReplaceAllString(m[1], "*")
		file, _, _ := strings.Cut(p, ":")
		if seen[p] || slices.Contains([]string{"postmaster.json", "cluster.json", "init.json", "pg_hba.conf"}, file) && len(list) == 0 {
			continue // of the first start, which has tests of its own
		}
		seen[p] = true
		list = append(list, p)
	}
	if len(list) < 20 {
		t.Fatalf("an upgrade passes only the crash points %v", list)
	}
	t.Logf("%s: %d points", g, len(list))
	return list
}

// At every durable operation of an upgrade, under kill and under loss of
// power: afterwards the old cluster or the new one is served, complete.
func TestAnUpgradeInterruptedAtAnyCrashPointLeavesTheOldClusterOrTheNewOneComplete(t *testing.T) {
	t.Parallel()
	random := testbed.Seed(t)
	type point struct {
		ground
		at string
	}
	lists := map[bool][]string{}
	for _, mount := range []bool{false, true} {
		lists[mount] = passed(t, ground{node.ModeLink, "ext4", false, mount})
	}
	var all []point
	for i, g := range grounds {
		for _, at := range lists[g.mount] {
			// The result file is written right after the journal, and nothing
			// is decided by it: two grounds are enough for its moments.
			if i%4 == 0 || !strings.HasPrefix(at, "upgrade.result.json:") {
				all = append(all, point{g, at})
			}
		}
	}
	total := len(all)
	random.Shuffle(total, func(i, j int) { all[i], all[j] = all[j], all[i] })
	if !testbed.Soak() {
		// Of each file that is written as many as of the others.
		all = spread(all, 6, func(p point) string { return p.at[:strings.Index(p.at, ":")] })
	}
	var mu sync.Mutex
	covered, outcomes := 0, map[node.Outcome]int{}
	t.Run("points", func(t *testing.T) {
		for _, p := range all {
			t.Run(p.at+" "+p.String(), func(t *testing.T) {
				t.Parallel()
				if late(t) {
					return
				}
				j := depart(t, p.ground, durable.CrashEnv+"="+p.at)
				if !stands(t, j, p.at) {
					return
				}
				j.crash()
				u := j.arrive()
				mu.Lock()
				defer mu.Unlock()
				covered++
				outcomes[u.Outcome]++
			})
		}
	})
	t.Logf("%d of %d points covered; outcomes %v", covered, total, outcomes)
}

// late reports whether the time of this test binary is nearly over: what is
// not covered then is for another soak, whose seed brings another order.
func late(t *testing.T) bool {
	deadline, limited := t.Deadline()
	return limited && time.Until(deadline) < 3*long
}

// stands waits until the node stands still at a point. A point that another
// mode or file system does not pass ends the upgrade instead.
func stands(t *testing.T, j *journey, at string) bool {
	t.Helper()
	line := "standing still at crash point " + at
	for deadline := time.Now().Add(long); ; time.Sleep(20 * time.Millisecond) {
		if strings.Contains(j.c.Logs(), line) {
			return true
		}
		if u := result(t, j.loop.Path()); u.ID != j.was.ID && u.ID != "" && !u.Ended.IsZero() {
			time.Sleep(time.Second)
			if strings.Contains(j.c.Logs(), line) {
				return true
			}
			j.load.Stop()
			t.Logf("it does not pass %s; it is %q", at, u.Outcome)
			return false
		}
		if time.Now().After(deadline) {
			t.Fatalf("it neither stands still at %s nor ends: %s", at, describe(result(t, j.loop.Path())))
		}
	}
}

// spread takes n of a shuffled list, of each kind as many as of the others.
func spread[T any, K comparable](all []T, n int, kind func(T) K) []T {
	count := map[K]int{}
	rank := make([]int, len(all))
	order := make([]int, len(all))
	for i, one := range all {
		rank[i], order[i] = count[kind(one)], i
		count[kind(one)]++
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank[a] - rank[b] })
	var chosen []T
	for _, i := range order[:min(n, len(order))] {
		chosen = append(chosen, all[i])
	}
	return chosen
}

// phases of pg_upgrade, as the log tells them, and of what follows it; only
// linking disables the old cluster.
var pgUpgradePhases = []string{
	"Creating dump of database schemas", "Freezing all rows", "Deleting files from new pg_xact", "Resetting WAL archives", "Setting frozenxid",
	"Restoring global objects", "Restoring database schemas", "(?:Adding .{1,3}.old|user relation files)", "user relation files", "Setting next OID",
	"making the new cluster durable", "carrying the configuration over",
}

// pg_upgrade is not ours and has no crash points: it is interrupted at any
// moment of its run, after it renamed pg_control, between its links, while its
// servers run.
func TestPgUpgradeInterruptedAtAnyMomentIsUndoneOrBegunAgainAndNothingIsLost(t *testing.T) {
	t.Parallel()
	random := testbed.Seed(t)
	type moment struct {
		ground
		phase string
	}
	var all []moment
	for _, g := range grounds {
		for _, phase := range pgUpgradePhases {
			all = append(all, moment{g, phase})
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = spread(all, testbed.Rounds(3, len(all)), func(m moment) ground { return m.ground })
	var mu sync.Mutex
	outcomes, seen := map[node.Outcome]int{}, map[string]int{}
	t.Run("moments", func(t *testing.T) {
		for _, m := range all {
			jitter := time.Duration(random.Int64N(int64(250 * time.Millisecond)))
			t.Run(m.phase+" "+m.String(), func(t *testing.T) {
				t.Parallel()
				if late(t) {
					return
				}
				j := depart(t, m.ground)
				j.c.WaitLog(`step=pg_upgrade`, long)
				j.c.WaitLog(m.phase+`.*step=pg_upgrade`, long)
				time.Sleep(jitter)
				at := doing(journal(t, j.loop.Path())) + ": " + lastPhase(j.c.Logs())
				j.crash()
				u := j.arrive()
				t.Logf("interrupted %v after %q, in %s; then %s, attempt %d", jitter, m.phase, at, u.Outcome, u.Attempt)
				mu.Lock()
				defer mu.Unlock()
				outcomes[u.Outcome]++
				seen[at]++
			})
		}
	})
	t.Logf("%d interruptions in %d phases (%s); outcomes %v", len(all), len(seen), strings.Join(slices.Sorted(maps.Keys(seen)), "; "), outcomes)
}

// lastPhase is what pg_upgrade did last, by the log.
func lastPhase(log string) string {
	all := regexp.MustCompile(`msg="upgrade: (.*)" step=`).FindAllStringSubmatch(log, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// stations are moments of an upgrade that the log tells: of all steps, and of
// pg_upgrade with its servers.
var stations = []string{
	`Creating dump of database schemas.*step=pg_upgrade`, `Restoring database schemas.*step=pg_upgrade`, `user relation files.*step=pg_upgrade`,
	`step begins.*step=preflight`, `step=preflight.*mode=|making an empty cluster`, `making the new cluster durable`, `step begins.*step=switch`, `verifying`, `step begins.*step=after`,
}

// visited chooses stations: in a sample one of pg_upgrade's and one of the others.
func visited(random *rand.Rand) []string {
	if testbed.Soak() {
		return append(slices.Clone(stations), stations...)
	}
	return []string{stations[random.IntN(3)], stations[3+random.IntN(len(stations)-3)]}
}

// The supervisor alone is killed, in the same container: pg_upgrade dies with
// it, its servers are found and ended, and the journal is taken up.
func TestASupervisorKilledWhileItUpgradesIsReplacedByOneThatGoesOn(t *testing.T) {
	random := testbed.Seed(t)
	for _, station := range visited(random) {
		jitter := time.Duration(random.Int64N(int64(200 * time.Millisecond)))
		t.Run(station, func(t *testing.T) {
			t.Parallel()
			volume := seeded(t, rows(15))
			c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
			serves(t, c, 15)
			before := testbed.SnapshotRows(c, testbed.Access{})
			load := begin(t, c)
			was := drop(t, volume, "target: 17\nmode: link\ntrial: off\n")
			c.WaitLog(station, long)
			time.Sleep(jitter)
			at := doing(journal(t, volume)) + ": " + lastPhase(c.Logs())
			if p, ok := c.Supervisor(); ok {
				c.Signal(p, syscall.SIGKILL)
			}
			u := became(t, c, volume, was, node.UpgradeDone)
			t.Logf("killed in %s; then %s, attempt %d", at, u.Outcome, u.Attempt)
			serves(t, c, 17)
			flowing(t, load)
			audited(t, load, c)
			same(t, before, testbed.SnapshotRows(c, testbed.Access{}))
		})
	}
}
