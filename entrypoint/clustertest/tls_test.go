package clustertest

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// certified is the specification of nodes with certificates.
func certified(a *testbed.Authority, spec testbed.ClusterSpec) testbed.ClusterSpec {
	spec.Env = map[string]string{
		"PGBATON_TLS_CERT": "/etc/node.crt", "PGBATON_TLS_KEY": "/etc/node.key", "PGBATON_TLS_CA": "/etc/node.ca",
	}
	spec.Edit = func(n *testbed.Spec) { n.Files = append(n.Files, a.Files("/etc/node", 0)...) }
	return spec
}

// secureSenders waits until one standby is connected to a primary, over TLS with
// a certificate, and fails where one is without. A connection that broke may be
// shown for a while beside the next one.
func secureSenders(t *testing.T, n *testbed.Node) {
	t.Helper()
	db := n.DB()
	n.Eventually(long, "one standby is connected over TLS with a certificate", func() bool {
		var secure, plain int
		err := db.QueryRow(`select count(*) filter (where s.ssl and s.client_dn <> ''), count(*) filter (where not s.ssl or s.client_dn is null)
			from pg_stat_replication r join pg_stat_ssl s using (pid)`).Scan(&secure, &plain)
		if err == nil && plain != 0 {
			t.Fatalf("%d standbys over TLS with a certificate, %d without", secure, plain)
		}
		return err == nil && secure == 1
	})
}

// serverSerial is the serial number of the certificate that a server shows.
func serverSerial(n *testbed.Node) int64 {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(n.Spec.IP, "5432"), time.Second)
	if err != nil {
		return 0
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	answer := make([]byte, 1)
	if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil { // SSLRequest
		return 0
	}
	if _, err := io.ReadFull(c, answer); err != nil || answer[0] != 'S' {
		return 0
	}
	conn := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	if conn.Handshake() != nil {
		return 0
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// login tries to log in at a server as another node would, and returns what was said.
func login(n, at *testbed.Node, database, more string) string {
	r := n.Exec("su", "postgres", "-s", "/bin/sh", "-c", "psql -Atc 'select 1' \"host="+at.Spec.IP+" user=pgbaton_replication password="+
		testbed.ReplicationPassword+" dbname="+database+" "+more+"\" 2>&1")
	return strings.TrimSpace(r.Stdout + r.Stderr)
}

// answered logs in until these words are said. A server that refuses a certificate
// closes the connection, and libpq may see that before the reason (PostgreSQL's own
// tests leave that one out).
func answered(t *testing.T, n, at *testbed.Node, database, how, words string) {
	t.Helper()
	said := ""
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if said = login(n, at, database, how); strings.Contains(said, words) {
			return
		}
		if said == "1" { // nobody is let in by trying again
			break
		}
	}
	t.Errorf("%s: %s", how, said)
}

func TestWithCertificatesNodesReplicateOverVerifiedTLSAlone(t *testing.T) {
	t.Parallel()
	a := testbed.NewAuthority(t)
	c, load := loaded(t, certified(a, testbed.ClusterSpec{Nodes: 2}))
	p := c.WaitWhole(long)
	standby := c.Others(p)[0]
	secureSenders(t, p)

	const own = " sslcert=/run/pgbaton/replication.crt sslkey=/run/pgbaton/replication.key"
	stranger := testbed.NewAuthority(t)
	standby.Write(stranger.Files("/tmp/stranger", 999)...)
	// A user's rule that lets everybody in does not let the role in without TLS.
	p.MustExec("bash", "-c", `sed -i '1i host all all all trust\nhost replication all all trust' $PGDATA/pg_hba.conf`)
	orders(t, p, "reload")
	for how, want := range map[string]string{
		"sslmode=disable": "pg_hba.conf rejects",
		"sslmode=require": "requires a valid client certificate",
		"sslmode=require sslcert=/tmp/stranger.crt sslkey=/tmp/stranger.key": "alert unknown ca",
		"sslmode=verify-ca sslrootcert=/tmp/stranger.ca" + own:               "certificate verify failed",
		"sslmode=verify-ca sslrootcert=/run/pgbaton/replication.ca" + own:    "1",
	} {
		answered(t, standby, p, "postgres", how, want)
	}
	answered(t, standby, p, "postgres", "replication=true sslmode=disable", "rejects replication connection")

	makePrimary(t, c, standby)
	flowing(t, load)
	heal := c.Isolate(standby, false)
	becomes(c, p)
	flowing(t, load)
	heal()
	expect(t, c.WaitWhole(2*long), p, "the cut")
	secureSenders(t, p)
	standby.MustExec("sh", "-c", "ls /var/lib/postgresql/.pgbaton/diverged/*/report.json") // it was a rewind

	cert, key, serial := a.Issue()
	p.Write(testbed.File{Path: "/etc/node.crt", Data: cert}, testbed.File{Path: "/etc/node.key", Data: key, Mode: 0o600})
	p.Eventually(long, "the server shows the certificate that was renewed", func() bool { return serverSerial(p) == serial })
	flowing(t, load)
	t.Log(c.Audit(load))
}

func TestAServersOwnCertificateStaysAndIsVerified(t *testing.T) {
	t.Parallel()
	a := testbed.NewAuthority(t)
	spec := certified(a, testbed.ClusterSpec{Nodes: 2, Major: 17})
	add := spec.Edit
	spec.Edit = func(n *testbed.Spec) {
		add(n)
		n.Files = append(n.Files, a.Files("/etc/own", 999)...)
		n.Args = []string{"postgres", "-c", "ssl=on", "-c", "ssl_cert_file=/etc/own.crt", "-c", "ssl_key_file=/etc/own.key"}
	}
	c := testbed.RunCluster(t, spec)
	p := c.WaitWhole(2 * long)
	db := p.DB()
	var ssl, file string
	var secure *bool // none where the standby is just connecting again
	p.Eventually(long, "the standby is connected", func() bool {
		err := db.QueryRow(`select current_setting('ssl'), current_setting('ssl_cert_file'),
			(select bool_and(ssl) from pg_stat_replication join pg_stat_ssl using (pid))`).Scan(&ssl, &file, &secure)
		return err == nil && secure != nil
	})
	if ssl != "on" || file != "/etc/own.crt" || !*secure {
		t.Error(ssl, file, *secure)
	}
}
