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
	return runEtcd(tb, Spec{Image: etcdImage, Hostname: "etcd", Net: net, IP: net.Address(90)})
}

func runEtcd(tb TB, s Spec) *Etcd {
	tb.Helper()
	e := &Etcd{Run(tb, s)}
	e.WaitHealthy(time.Minute)
	return e
}

// RunSecureEtcd starts one that speaks TLS alone to others, asks for a
// certificate of the authority, and lets nobody in but user.
func RunSecureEtcd(tb TB, net *Network, a *Authority, user, password string) *Etcd {
	tb.Helper()
	ip := net.Address(90)
	e := runEtcd(tb, Spec{
		Image: etcdImage, Hostname: "etcd", Net: net, IP: ip, Files: a.Files("/etc/etcd", 0, ip),
		Args: []string{
			"etcd", "--name=etcd", "--unsafe-no-fsync", "--listen-client-urls=http://127.0.0.1:2379,https://" + ip + ":2379",
			"--advertise-client-urls=https://" + ip + ":2379", "--cert-file=/etc/etcd.crt", "--key-file=/etc/etcd.key",
			"--trusted-ca-file=/etc/etcd.ca", "--client-cert-auth",
		},
	})
	for _, args := range [][]string{
		{"user", "add", "root:" + password},
		{"user", "add", user + ":" + password},
		{"role", "add", "pgbaton"},
		{"role", "grant-permission", "--prefix=true", "pgbaton", "readwrite", "/pgbaton/"},
		{"user", "grant-role", user, "pgbaton"},
		{"auth", "enable"},
	} {
		e.MustExec(append([]string{"etcdctl"}, args...)...)
	}
	return e
}

// WaitHealthy waits until it answers.
func (e *Etcd) WaitHealthy(timeout time.Duration) {
	e.tb.Helper()
	e.Eventually(timeout, "etcd answers", func() bool { return e.Exec("etcdctl", "endpoint", "health").Code == 0 })
}

// Endpoint is what PGBATON_ETCD takes.
func (e *Etcd) Endpoint() string { return "http://" + e.Spec.IP + ":2379" }
