package faulttest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

var (
	writing  = []string{"before", "written", "renamed", "done"}
	removing = []string{"before-remove", "removed"}
)

// operation is one call of package durable.
type operation struct {
	call    string // in entrypoint/*.go
	calls   int
	file    string   // empty: see why
	starts  []string // of an empty volume (""), "again" after a half-made one, "adopted" one without our state
	moments []string
	why     string
}

// durables are the durable operations of a first start, by the words in the
// source that carry them out; TestEveryDurableOperationHasItsCrashPoints holds
// the list to the source.
var durables = []operation{
	{"WriteJSON(b.root, initFile", 1, "init.json", []string{""}, writing, ""},
	{"Remove(b.root, initFile", 1, "init.json", []string{""}, removing, ""},
	{"Remove(root, initFile", 1, "init.json", []string{"again"}, removing, ""}, // when a half-made cluster is set aside
	{"WriteJSON(root, recordFile", 1, "cluster.json", []string{"", "adopted"}, writing, ""},
	{"WriteJSON(root, serverFile", 1, "postmaster.json", []string{"", "adopted"}, writing, ""},
	{"WriteFile(b.root, rel", 1, "pg_hba.conf", []string{""}, writing, ""},
	{`Point("initdb", "done"`, 1, "initdb", []string{""}, []string{"done"}, ""},
	{`Point("PG_VERSION", "before"`, 1, "PG_VERSION", []string{""}, []string{"before"}, ""}, // all else is moved
	{"Rename(root, markerFile, claimFile", 1, "", nil, nil, upgradesOwn},
	{"Rename(root, claimFile, markerFile", 1, "", nil, nil, upgradesOwn},
	{"Remove(root, claimFile", 1, "", nil, nil, upgradesOwn},
	{"WriteJSON(s.volume.root, doneFile(j.ID", 1, "", nil, nil, upgradesOwn},
	{"Remove(s.volume.root, doneFile(id", 1, "", nil, nil, upgradesOwn},
	{"WriteJSON(v.root, roleFile", 1, "", nil, nil, rolesOwn},
	{"Rename(v.root, name, name", 1, "", nil, nil, "only the reminder of a corrupt record that an operator decided over"},
	{"WriteJSON(root, membersFile", 1, "", nil, nil, rolesOwn},
	{"WriteJSON(s.volume.root, copyFile", 1, "", nil, nil, rolesOwn},
	{"Remove(s.volume.root, copyFile", 1, "", nil, nil, rolesOwn},
	{"Remove(vol.root, copyFile", 1, "", nil, nil, rolesOwn},
	{`WriteJSON(vol.root, filepath.Join(to, "role.json"`, 1, "", nil, nil, rolesOwn},
	{`Remove(root, "postmaster.pid"`, 2, "", nil, nil, rolesOwn + "; " + movesOwn},
	{"WriteJSON(root, moveFile", 1, "", nil, nil, movesOwn},
	{`Rename(root, "PG_VERSION", parkedVersion`, 1, "", nil, nil, movesOwn},
	{"Rename(root, parkedVersion", 1, "", nil, nil, movesOwn},
	{"Remove(root, moveFile", 1, "", nil, nil, movesOwn},
	{`Point("move", "entry"`, 1, "", nil, nil, movesOwn},
	{`Point("move", "moved"`, 1, "", nil, nil, movesOwn},
	{"WriteFile(s.volume.root, reserveFile", 1, "", nil, nil, rolesOwn},
	{"WriteJSONInto(v.root, reserveFile, roleFile", 1, "", nil, nil, rolesOwn},
	{"Remove(s.volume.root, reserveFile", 1, "", nil, nil, "on a full disk only, between two tries of the same write"},
	{`WriteFile(root, "standby.signal"`, 1, "", nil, nil, rolesOwn},
	{"Remove(root, name", 1, "", nil, nil, rolesOwn},
	{`Point("clone", "received"`, 1, "", nil, nil, rolesOwn},
	{`Point("promote", "done"`, 1, "", nil, nil, rolesOwn},
	{`Point("prove", "done"`, 1, "", nil, nil, rolesOwn},
	{"Point(string(v.Do", 1, "", nil, nil, rolesOwn}, // unname and name
	{`Point("follow", "done"`, 1, "", nil, nil, rolesOwn},
	{"Rename(v.root, name, aside", 1, "", nil, nil, "the name of what is kept aside holds the time; tests of internal/durable stop there"},
}

// upgradesOwn is why no start is interrupted there.
const upgradesOwn = "part of an upgrade: upgrade/upgradetest records the points of whole upgrades and goes through them"

// rolesOwn is why no start is interrupted there either.
const rolesOwn = "part of a change of roles: entrypoint/clustertest ends nodes at each of its points"

// movesOwn is why no start of this package's is.
const movesOwn = "part of a move below the mount: entrypoint/clustertest ends nodes at each of its points"

var durableCall = regexp.MustCompile(`durable\.((?:WriteFile|WriteJSON|WriteJSONInto|Rename|Remove|Point)\([^)\n]*)`)

func TestEveryDurableOperationHasItsCrashPoints(t *testing.T) {
	files, err := filepath.Glob("../*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source: %v", err)
	}
	found := make([]int, len(durables))
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range durableCall.FindAllStringSubmatch(string(text), -1) {
			i := slices.IndexFunc(durables, func(d operation) bool { return strings.HasPrefix(m[1], d.call) })
			if i < 0 {
				t.Errorf("%s: %s has no crash points in this test", f, m[0])
				continue
			}
			found[i]++
		}
	}
	for i, d := range durables {
		if found[i] != d.calls {
			t.Errorf("durable.%s is in the source %d times, not %d", d.call, found[i], d.calls)
		}
	}
}

// point is one way to be interrupted.
type point struct {
	at    string // FILE:MOMENT
	start string // the volume that the start finds: "", "again" or "adopted"
	power bool   // the power is lost, not only the container killed
	fs    string
}

func (p point) String() string {
	s := p.at
	switch p.start {
	case "again":
		s += " of the start after a half-made one"
	case "adopted":
		s += " of an adoption"
	}
	if p.power {
		return s + ", power lost on " + p.fs
	}
	return s + ", killed on " + p.fs
}

func points() []point {
	var all []point
	for _, d := range durables {
		for _, start := range d.starts {
			for _, m := range d.moments {
				for _, power := range []bool{false, true} {
					for _, fs := range []string{"ext4", "xfs"} {
						all = append(all, point{d.file + ":" + m, start, power, fs})
					}
				}
			}
		}
	}
	return all
}

// Whatever was interrupted, the next start serves a whole cluster, and no
// state file is corrupt.
func TestADurableWriteInterruptedAtAnyPointLeavesAWholeClusterOrNone(t *testing.T) {
	t.Parallel()
	all := points()
	random := testbed.Seed(t)
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	chosen := sample(all, testbed.Rounds(6, len(all)))
	var mu sync.Mutex
	covered := map[string]bool{}
	t.Run("points", func(t *testing.T) {
		for _, p := range chosen {
			t.Run(p.String(), func(t *testing.T) {
				t.Parallel()
				interrupted(t, p)
				mu.Lock()
				defer mu.Unlock()
				covered[p.String()] = true
			})
		}
	})
	t.Logf("%d of %d points covered", len(covered), len(all))
}

// sample takes n points, those of power loss and of different files first.
func sample(all []point, n int) []point {
	seen := map[string]int{}
	rank := map[point]int{}
	for _, p := range all {
		file, _, _ := strings.Cut(p.at, ":")
		key := file + p.start
		rank[p] = 2 * seen[key]
		if !p.power {
			rank[p]++
		}
		seen[key]++
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b point) int { return rank[a] - rank[b] })
	return all[:min(n, len(all))]
}

func interrupted(t *testing.T, p point) {
	t.Helper()
	size := int64(256 << 20)
	if p.fs == "xfs" {
		size = 400 << 20
	}
	var l *testbed.Loop
	if p.start == "adopted" {
		l = seededLoop(t, p.fs, size)
		if err := os.RemoveAll(filepath.Join(l.Path(), ".pgbaton")); err != nil {
			t.Fatal(err)
		}
		host(t, "sync", "-f", l.Path())
	} else {
		l = testbed.NewLoop(t, p.fs, size)
	}
	if p.start == "again" {
		stop(t, l, "initdb:done", false)
	}
	stop(t, l, p.at, p.power)
	whole(t, l.Path(), p)

	s := spec(l.At(home))
	s.Files = []testbed.File{bornFile}
	c := testbed.Run(t, s)
	var st node.State
	c.Eventually(long, "it runs or waits", func() bool {
		var err error
		st, err = state(t, c)
		if err != nil && !c.Inspect().Running {
			t.Fatal("the container ended")
		}
		return err == nil && (st.Phase == node.Running || st.Phase == node.Waiting)
	})
	// Without the record of its postmaster.pid a server's pid file is anybody's.
	unknown := p.at == "postmaster.json:before" || p.at == "postmaster.json:written" || p.power && p.at == "postmaster.json:renamed"
	switch {
	case st.Phase == node.Running:
	case !unknown:
		t.Fatalf("it waits: %s", st.Why)
	default:
		says(t, st.Why, "postmaster.pid was not written under this volume's lock")
		if r := c.Exec("pgbaton", "start", "--force"); r.Code != 0 {
			t.Fatalf("start --force ends with %d: %s", r.Code, r.Stderr)
		}
	}
	served(t, c)
	if corrupt := keptAside(t, l.Path(), "*"); len(corrupt) > 0 {
		t.Errorf("corrupt after the interruption: %v", corrupt)
	}
	if _, err := os.Stat(filepath.Join(l.Path(), ".pgbaton", "init.json")); err == nil {
		t.Error("a served cluster counts as half-made")
	}
	if code, _ := c.Stop(time.Minute); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

// whole fails unless the file is there where its writing was reported, gone
// where its removal was, and complete wherever it is.
func whole(t *testing.T, volume string, p point) {
	t.Helper()
	file, moment, _ := strings.Cut(p.at, ":")
	path := filepath.Join(volume, ".pgbaton", file)
	if file == "pg_hba.conf" {
		path = filepath.Join(volume, pgdata, file)
	}
	text, err := os.ReadFile(path)
	switch {
	case moment == "removed" && err == nil:
		t.Errorf("%s was removed, and is there", file)
	case moment == "done" && file != "initdb" && err != nil:
		t.Errorf("%s was written, and is not there: %v", file, err)
	case err == nil && strings.HasSuffix(file, ".json") && !json.Valid(text):
		t.Errorf("%s is no JSON: %.80q", file, text)
	case file == "pg_hba.conf" && strings.Contains(string(text), "host all all all") != (moment == "done") && (moment != "renamed"):
		t.Errorf("pg_hba.conf at %s: %q", moment, text)
	}
}

// stop starts a node that stands still at a point, and ends it there.
func stop(t *testing.T, l *testbed.Loop, at string, power bool) {
	t.Helper()
	s := spec(l.At(home), durable.CrashEnv+"="+at)
	s.Files = []testbed.File{bornFile}
	c := testbed.Run(t, s)
	c.WaitLog("standing still at crash point "+regexp.QuoteMeta(at), long)
	if power {
		l.PowerLoss(c)
		return
	}
	c.Kill("KILL")
	c.Wait(long)
	c.Remove()
}

func TestAcknowledgedCommitsSurviveALossOfPower(t *testing.T) {
	t.Parallel()
	for fs, size := range map[string]int64{"ext4": 256 << 20, "xfs": 400 << 20} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			l := seededLoop(t, fs, size)
			c := testbed.Run(t, spec(l.At(home)))
			served(t, c)
			load := testbed.Load{Target: c.DSN}
			if err := load.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			running := load.Start(t.Context())
			for range testbed.Rounds(1, 10) {
				if err := running.Flowing(t.Context(), 50); err != nil {
					t.Fatal(err)
				}
			}
			record := filepath.Join(l.Path(), ".pgbaton", "postmaster.json")
			c.Eventually(long, "postmaster.json is written", func() bool { _, err := os.Stat(record); return err == nil })
			l.PowerLoss(c)
			running.Stop()
			c = testbed.Run(t, spec(l.At(home)))
			served(t, c)
			audit(t, running, c)
		})
	}
}
