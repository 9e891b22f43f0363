package clustertest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestAnOldPrimaryWithoutRoomHoldsAndGoesOnOnceThereIsRoom leaves the old
// primary a kilobyte while it is to be rewound, and then while it is to be
// copied.
func TestAnOldPrimaryWithoutRoomHoldsAndGoesOnOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	for _, fs := range []string{"ext4", "xfs"} { // root has room of its own on ext4
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, FS: fs})
			p := c.WaitWhole(long)
			rows(t, p, 20)
			heal := c.Isolate(p, false)
			becomes(c, c.Others(p)[0])
			flowing(t, load)
			t.Log("cut off:", load.Lap())
			p.Kill9()
			room := p.Disk.Fill(1 << 10)
			heal()
			p.Start()
			says(c, p, "failed and is tried again")
			room()
			expect(t, c.WaitWhole(2*long), c.Others(p)[0], "the rewind")
			flowing(t, load)
			t.Log("rewound, first without room:", load.Lap())

			p.Kill9()
			lose(t, p)
			room = p.Disk.Fill(10 << 20)
			p.Start()
			says(c, p, "failed and is tried again")
			room()
			c.WaitWhole(2 * long)
			flowing(t, load)
			t.Log(c.Audit(load))
		})
	}
}

// TestAFullDiskOfTheHeirLetsNobodyWaitAndThatOfThePrimaryIsHandedOver: both
// have to write down a change of their rights without any room.
func TestAFullDiskOfTheHeirLetsNobodyWaitAndThatOfThePrimaryIsHandedOver(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, FS: "xfs"})
	p := c.WaitWhole(long)
	h := c.Others(p)[0]
	load.Lap()
	room := h.Disk.Fill(1 << 20)
	began := time.Now()
	rows(t, p, 60) // its commit waits for the heir until that has given up its right
	h.WaitLogSince(began, "No space left on device", long)
	waitFor(c, p, "has no heir any more", func(v testbed.View) bool { return v.State.Cluster.Record.Heir == nil })
	for range 3 { // it comes up, streams and falls again; whoever were armed meanwhile could not give that up
		rows(t, p, 20)
	}
	flowing(t, load)
	t.Log("the heir has no room:", load.Lap())
	room()
	c.WaitWhole(2 * long)

	load.Lap()
	room = p.Disk.Fill(1 << 20)
	_, _ = p.TryDo(t.Context(), testbed.Command{Args: []string{
		"psql", "-XU", "postgres", "-c", "insert into ballast select repeat(md5(i::text), 31250) from generate_series(1, 100) i",
	}}) // it kills the server
	becomes(c, h)
	flowing(t, load)
	t.Log("the primary has no room:", load.Lap())
	room()
	expect(t, c.WaitWhole(2*long), h, "the full disk")
	flowing(t, load)
	t.Log(c.Audit(load))
}

// fullFor names the file for which a node's disk is full: see durable.FullEnv.
const fullFor = "/full-for"

// TestADiskThatIsFullForAnyFileLosesNothingAndAllGoesOnOnceThereIsRoom: whatever
// cannot be written down, on either side, while roles change.
func TestADiskThatIsFullForAnyFileLosesNothingAndAllGoesOnOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	files := []string{"role.json", "standby.signal", "postgresql.auto.conf", "cluster.json", "postmaster.json", "copy.json", "reserve", "*"}
	events := map[string]func(old, heir *testbed.Node){
		"a switchover": func(old, _ *testbed.Node) {
			_, _ = old.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "switchover", "--yes", "--no-wait"}})
		},
		"a death of the primary's server": func(old, _ *testbed.Node) { old.KillPostmaster() },
		"the return of a killed heir":     func(_, heir *testbed.Node) { heir.Kill9(); heir.Start() },
		"a new copy": func(_, heir *testbed.Node) {
			_, _ = heir.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "reclone", "--yes", "--no-wait"}})
		},
	}
	type round struct {
		file, event string
		heir        bool // whose disk is full
	}
	var all []round
	for _, file := range files {
		for _, event := range slices.Sorted(maps.Keys(events)) {
			all = append(all, round{file, event, false}, round{file, event, true})
		}
	}
	random := testbed.Seed(t)
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, Env: map[string]string{durable.FullEnv: fullFor}})
	for _, r := range all[:testbed.Rounds(6, len(all))] {
		old := c.WaitWhole(2 * long)
		heir := c.Others(old)[0]
		victim := old
		if r.heir {
			victim = heir
		}
		victim.Write(testbed.File{Path: fullFor, Data: r.file + "\n"})
		began := time.Now()
		events[r.event](old, heir)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		_, err := c.Until(ctx, "it is whole again", c.Whole)
		cancel()
		victim.Write(testbed.File{Path: fullFor})
		c.WaitWhole(2 * long)
		flowing(t, load)
		failed := strings.Count(victim.LogsSince(began), "no space left on device")
		t.Logf("no room for %s on %s, %s: %d lines tell of it, whole before there was room %v, after %s",
			r.file, victim.Host, r.event, failed, err == nil, time.Since(began).Round(100*time.Millisecond))
	}
	t.Log(c.Audit(load))
}
