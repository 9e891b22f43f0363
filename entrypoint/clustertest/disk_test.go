package clustertest

import (
	"testing"
	"time"

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
