package main

import "github.com/pgbaton/pgbaton/internal/testbed"

// oursContested is a cluster of ours, with its defaults.
type oursContested struct{ *testbed.Cluster }

func startOurs(tb testbed.TB, image string) contested {
	return oursContested{testbed.RunCluster(tb, testbed.ClusterSpec{Nodes: 2, Image: image, VIP: true})}
}

func (c oursContested) Whole() *testbed.Container { return c.WaitWhole(settle).Container }

func (c oursContested) Switchover(from *testbed.Container) {
	from.MustExec("pgbaton", "switchover", "--no-wait", "--yes")
}
