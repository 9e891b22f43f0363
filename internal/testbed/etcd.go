package testbed

import "time"

// etcdImage is Debian's etcd; make official builds it.
const etcdImage = "pgbaton-etcd:dev"

// Etcd is an etcd of one member, for PGBATON_ETCD.
type Etcd struct{ *Container }

// RunEtcd starts one in a network and waits until it answers. What it holds
// outlives its container's end and Start.
func RunEtcd(tb TB, net *Network) *Etcd {
	tb.Helper()
	e := &Etcd{Run(tb, Spec{Image: etcdImage, Hostname: "etcd", Net: net, IP: net.Address(90)})}
	e.WaitHealthy(time.Minute)
	return e
}

// WaitHealthy waits until it answers.
func (e *Etcd) WaitHealthy(timeout time.Duration) {
	e.tb.Helper()
	e.Eventually(timeout, "etcd answers", func() bool { return e.Exec("etcdctl", "endpoint", "health").Code == 0 })
}

// Endpoint is what PGBATON_ETCD takes.
func (e *Etcd) Endpoint() string { return "http://" + e.Spec.IP + ":2379" }
