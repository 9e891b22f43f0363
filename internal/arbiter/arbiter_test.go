package arbiter

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

const long = 90 * time.Second

func start(t *testing.T, endpoint, name string) *Arbiter {
	t.Helper()
	return Start(t.Context(), Config{Endpoints: []string{endpoint}, Cluster: "main", Node: name}, func() {})
}

// until waits until what is seen fits.
func until(t *testing.T, a *Arbiter, what string, fits func(Seen) bool) (s Seen) {
	t.Helper()
	testbed.Eventually(t, long, a.cfg.Node+" sees: "+what, func() bool {
		s = a.Seen()
		return fits(s)
	})
	return s
}

func answers(s Seen) bool { return !s.Asked.IsZero() && s.Err == nil }

// swapped tries until etcd has taken the change, for a busy machine may be late.
func swapped(t *testing.T, a *Arbiter, to node.ClusterRecord, leaseless bool) {
	t.Helper()
	testbed.Eventually(t, long, "the record is changed: "+to.Why, func() bool {
		err := a.Swap(t.Context(), a.Seen().Revision, to, leaseless)
		if err != nil {
			t.Log(err)
		}
		s := a.Seen()
		return s.Record != nil && s.Record.Why == to.Why
	})
}

func TestTheRecordChangesByCompareAndSwapOnly(t *testing.T) {
	t.Parallel()
	etcd := testbed.RunEtcd(t, testbed.NewNetwork(t))
	a, b := start(t, etcd.Endpoint(), "n1"), start(t, etcd.Endpoint(), "n2")
	first := until(t, a, "an empty etcd", answers)
	if first.Record != nil || first.Revision != 0 || !strings.HasSuffix(first.ID, "/pgbaton/main/role") || len(first.ID) < 25 {
		t.Errorf("an empty etcd: %+v", first)
	}
	swapped(t, a, node.ClusterRecord{Arbiter: first.ID, Epoch: 1, Primary: "n1", Heir: "n2", Right: "r", Why: "made"}, false)
	seen := until(t, b, "the record", func(s Seen) bool { return s.Record != nil })
	if seen.ID != first.ID || seen.Record.Heir != "n2" || seen.Revision == 0 {
		t.Errorf("seen %+v", seen)
	}
	swapped(t, b, node.ClusterRecord{Epoch: 2, Primary: "n2", Why: "claimed"}, true)
	void := node.ClusterRecord{Epoch: 1, Primary: "n1", Why: "void"}
	if err := a.Swap(t.Context(), seen.Revision, void, false); err == nil {
		t.Error("a change from what was before succeeded")
	}
	testbed.Eventually(t, long, "no record is made where there is one", func() bool { // it may be out of reach for a moment
		return errors.Is(a.Swap(t.Context(), 0, void, false), ErrChanged)
	})
	until(t, a, "the claim", func(s Seen) bool { return s.Record != nil && s.Record.Why == "claimed" })

	// The same revision with other contents, as in an etcd that lost its data:
	// seen by one that reads only here, so that no reading comes between.
	still := &Arbiter{cfg: a.cfg, changed: func() {}}
	defer still.hangUp()
	testbed.Eventually(t, long, "the record is read", func() bool {
		still.round(t.Context())
		return answers(still.Seen())
	})
	still.raw = strings.Replace(still.raw, "claimed", "another", 1)
	if err := still.Swap(t.Context(), still.Seen().Revision, void, false); err == nil {
		t.Error("a change from other contents succeeded")
	}

	etcd.MustExec("etcdctl", "put", "/pgbaton/main/role", "no record")
	bad := until(t, a, "a record that cannot be read", func(s Seen) bool {
		return s.Err != nil && strings.Contains(s.Err.Error(), "left as it is")
	})
	if bad.Record == nil {
		t.Errorf("a record that cannot be read: %+v", bad)
	}
	etcd.MustExec("etcdctl", "del", "--prefix", "/pgbaton/")
	until(t, a, "that it is gone", func(s Seen) bool { return answers(s) && s.Record == nil && s.Revision == 0 })
	etcd.MustExec("etcdctl", "put", "/pgbaton/main2/role", "another cluster's")
	swapped(t, a, node.ClusterRecord{Epoch: 3, Why: "made anew"}, false)
}

func TestOnlyWhereNobodyKeepsTheLeaseIsAPlaceClaimed(t *testing.T) {
	t.Parallel()
	etcd := testbed.RunEtcd(t, testbed.NewNetwork(t))
	life, end := context.WithCancel(t.Context())
	p := Start(life, Config{Endpoints: []string{etcd.Endpoint()}, Cluster: "main", Node: "n1"}, func() {})
	h := start(t, etcd.Endpoint(), "n2")
	p.Hold(true)
	until(t, h, "the lease", func(s Seen) bool { return s.Lease == "n1" })
	swapped(t, h, node.ClusterRecord{Epoch: 1, Why: "made"}, false)
	claim := node.ClusterRecord{Epoch: 2, Why: "claimed"}
	if err := h.Swap(t.Context(), h.Seen().Revision, claim, true); err == nil && h.Seen().Lease == "n1" {
		t.Error("a place was claimed under a lease")
	}
	// What another one keeps is not taken; a busy machine may let it run out once.
	testbed.Eventually(t, long, "a lease that is kept and wanted by another stays", func() bool {
		until(t, h, "the lease", func(s Seen) bool { return s.Lease == "n1" })
		h.Hold(true)
		time.Sleep(2 * leaseSeconds * time.Second)
		s := h.Seen()
		h.Hold(false)
		return answers(s) && s.Lease == "n1"
	})
	p.Hold(false)
	until(t, h, "no lease", func(s Seen) bool { return s.Lease == "" })
	p.Hold(true)
	until(t, h, "the lease again", func(s Seen) bool { return s.Lease == "n1" })
	end() // it dies without a word
	until(t, h, "the end of the lease", func(s Seen) bool { return s.Lease == "" })
	swapped(t, h, claim, true)
}

func TestAnEtcdThatIsAwayBlocksNothingAndIsFoundAgain(t *testing.T) {
	t.Parallel()
	etcd := testbed.RunEtcd(t, testbed.NewNetwork(t))
	a := start(t, etcd.Endpoint(), "n1")
	until(t, a, "etcd", answers)
	swapped(t, a, node.ClusterRecord{Epoch: 1, Why: "made"}, false)
	for _, away := range []struct {
		what       string
		gone, back func()
	}{
		{"killed", func() { etcd.Kill("KILL"); etcd.Wait(long) }, etcd.Start},
		{"hung", etcd.Pause, etcd.Unpause},
	} {
		away.gone()
		s := until(t, a, "that etcd is "+away.what, func(s Seen) bool { return s.Err != nil })
		if s.Record == nil || s.Revision == 0 || s.ID == "" {
			t.Errorf("%s: what was known is forgotten: %+v", away.what, s)
		}
		began := time.Now()
		if err := a.Swap(t.Context(), s.Revision, node.ClusterRecord{Epoch: 2}, false); err == nil {
			t.Errorf("%s: a change succeeded", away.what)
		}
		t.Logf("%s: a change gave up after %v", away.what, time.Since(began))
		away.back()
		until(t, a, "etcd again", answers)
	}
}

func TestAnEtcdWithTLSAndUsersIsReachedWithBothAlone(t *testing.T) {
	t.Parallel()
	ours, others := testbed.NewAuthority(t), testbed.NewAuthority(t)
	net := testbed.NewNetwork(t)
	etcd := testbed.RunSecureEtcd(t, net, ours, "baton", "s e/c:ret")
	right := Config{
		Endpoints: []string{"https://" + etcd.Spec.IP + ":2379"}, User: "baton", Password: "s e/c:ret", Cluster: "main", Node: "n1",
	}
	right.CA, right.Cert, right.Key = certificate(t, ours)
	open := Start(t.Context(), right, func() {})
	until(t, open, "etcd", answers)
	open.Hold(true)
	swapped(t, open, node.ClusterRecord{Epoch: 1, Why: "made"}, false)
	until(t, open, "its own lease", func(s Seen) bool { return s.Lease == "n1" })
	before := logins(t, right)
	time.Sleep(2 * leaseSeconds * time.Second)
	if n := logins(t, right); n > before+1 { // one more where a busy machine broke the connection
		t.Errorf("%d logins while a lease was kept", n-before)
	}
	until(t, open, "its own lease still", func(s Seen) bool { return s.Lease == "n1" })

	for what, change := range map[string]func(*Config){
		"certificate signed by unknown authority": func(c *Config) { c.CA, _, _ = certificate(t, others) },
		"remote error: tls":                       func(c *Config) { _, c.Cert, c.Key = certificate(t, others) },
		"certificate required":                    func(c *Config) { c.Cert, c.Key = "", "" },
		"authentication failed":                   func(c *Config) { c.Password = "wrong" },
		"permission denied":                       func(c *Config) { c.User, c.Password = "", "" },
	} {
		wrong := right
		wrong.Node = "n2"
		change(&wrong)
		a := Start(t.Context(), wrong, func() {})
		s := until(t, a, what, func(s Seen) bool { return s.Err != nil && strings.Contains(s.Err.Error(), what) })
		if s.Record != nil || s.ID != "" || strings.Contains(s.Err.Error(), wrong.Password) && wrong.Password != "" {
			t.Errorf("%s: %+v", what, s)
		}
	}
}

// logins is how often etcd has checked a password.
func logins(t *testing.T, c Config) (n int) {
	t.Helper()
	secure, err := c.tls()
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: secure}, Timeout: long}
	defer client.CloseIdleConnections()
	r, err := client.Get(c.Endpoints[0] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^grpc_server_started_total\{grpc_method="Authenticate".* (\d+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("etcd counts no logins: %.2000s", text)
	}
	n, err = strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// certificate is what a node shows to etcd, and by what it knows it, in files.
func certificate(t *testing.T, a *testbed.Authority) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	crt, secret, _ := a.Issue()
	ca, cert, key = filepath.Join(dir, "ca"), filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	for path, text := range map[string]string{ca: a.PEM, cert: crt, key: secret} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ca, cert, key
}

func TestAnEndpointThatIsNoneIsSaid(t *testing.T) {
	t.Parallel()
	a := start(t, "http://127.0.0.1:1", "n1")
	s := until(t, a, "a failure", func(s Seen) bool { return !s.Asked.IsZero() })
	if s.Err == nil || s.ID != "" || !s.Answered.IsZero() {
		t.Errorf("seen %+v", s)
	}
	a = Start(t.Context(), Config{Endpoints: []string{"https://127.0.0.1:1"}, CA: "/nowhere", Cluster: "main", Node: "n1"}, func() {})
	until(t, a, "that the authority is missing", func(s Seen) bool { return s.Err != nil && strings.Contains(s.Err.Error(), "/nowhere") })
}
