package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// secrets are what peers need.
var secrets = []string{"PGBATON_TOKEN=0123456789abcdef", "PGBATON_REPLICATION_PASSWORD=12345678"}

// beside adds settings to the secrets.
func beside(environ ...string) []string { return append(slices.Clone(secrets), environ...) }

func TestPeers(t *testing.T) {
	tests := []struct{ name, given, listen, want string }{
		{"hosts get the port of the API", "db1,db2", "", "db1:8008 db2:8008"},
		{"hosts get the port that this node listens on", "db1,db2:8008", "10.0.0.1:9000", "db1:9000 db2:8008"},
		{"commas, spaces and lines separate", " db1 ,, db2\tdb3\ndb4,", "", "db1:8008 db2:8008 db3:8008 db4:8008"},
		{"the same peer counts once", "db1 db1:8008 db1", "", "db1:8008"},
		{"names of services have underscores and dots", "tasks.my_db example.org.", "", "tasks.my_db:8008 example.org.:8008"},
		{"addresses", "10.0.0.1 10.0.0.2:1", "", "10.0.0.1:8008 10.0.0.2:1"},
		{"IPv6 in brackets", "[2001:DB8::1] [::1]:9 [fe80::1%eth0]", "", "[2001:db8::1]:8008 [::1]:9 [fe80::1%eth0]:8008"},
		{"an IPv6 address to listen on", "db1", "[::1]:9000", "db1:9000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _ := mustLoad(t, nil, beside("PGBATON_PEERS="+test.given, "PGBATON_LISTEN="+test.listen)...)
			if strings.Join(got.Peers, " ") != test.want {
				t.Errorf("got %q, want %q", got.Peers, test.want)
			}
		})
	}
	got, _ := mustLoad(t, map[string]string{file: "peers: [db1, 'db2:9', '[::1]:1']"}, secrets...)
	if want := []string{"db1:8008", "db2:9", "[::1]:1"}; !slices.Equal(got.Peers, want) {
		t.Errorf("a list in the file: %q", got.Peers)
	}
	if got, _ := mustLoad(t, nil); got.Peers != nil {
		t.Errorf("no peers: %#v", got.Peers)
	}
}

func TestPeersThatAreRefused(t *testing.T) {
	many := make([]string, maxPeers+1)
	for i := range many {
		many[i] = fmt.Sprintf("db%d", i)
	}
	for given, why := range map[string]string{
		",": "no peer", "fe80::1": "without brackets", "::1:8008": "without brackets", "[db1]": "no IPv6 address",
		"[10.0.0.1]:1": "something else in them", "db1:": "no port", "db1:0": "no port", "db1:http": "no port", "db1:65536": "no port",
		"http://db1:8008": "no IPv6", "db1:1:2": "no IPv6", ":8008": "no host name", "db 1/2": "no host name", "-db": "no host name",
		"10.0.0": "none", "10.0.0.256": "none", "0.0.0.0": "no node's address", "224.0.0.18": "no node's address",
		"[fe80::1%a'b]": "interface", "db1;db2": "no host name", strings.Repeat("a", 64): "no host name",
		strings.Repeat("a.", 127) + "a": "no host name", strings.Join(many, ","): "65 peers",
	} {
		_, _, err := world(nil).load(beside("PGBATON_PEERS=" + given))
		wantRefusal(t, err, "PGBATON_PEERS", why, untouched)
	}
	_, _, err := world(map[string]string{file: "peers: ['db1 db2']"}).load(secrets)
	wantRefusal(t, err, "line 1", "peers", "separate items")
}

func TestSettingsOfACluster(t *testing.T) {
	got, warnings := mustLoad(t, map[string]string{file: "on_silence: both\nvrid: 255\nadvert: 1s\ndown_adverts: 3"}, beside(
		"PGBATON_PEERS=a,b", "PGBATON_NODES=a b,c", "PGBATON_CLUSTER=sales", "PGBATON_BOOTSTRAP=a", "PGBATON_REPLICATION_USER=repl", "PGBATON_VIP=10.0.0.9/24")...)
	if got.OnSilence != OnSilenceBoth || got.VRID != 255 || got.Advert != time.Second || got.DownAdverts != 3 || got.Cluster != "sales" ||
		got.Bootstrap != "a" || got.ReplicationUser != "repl" || got.ReplicationPassword.Reveal() != "12345678" ||
		got.VIP != netip.MustParsePrefix("10.0.0.9/24") || got.VIP.Addr().String() != "10.0.0.9" || len(warnings) > 0 {
		t.Errorf("got %+v, %q", got, warnings)
	}
	for _, row := range Print(got) {
		if want := map[string]string{"vip": "10.0.0.9/24", "replication_password": "***", "peers": "a,b", "nodes": "a,b,c", "vrid": "255"}[row.Name]; want != "" && row.Value != want {
			t.Errorf("%s is shown as %q", row.Name, row.Value)
		}
	}
	if got, _ := mustLoad(t, nil, beside("PGBATON_PEERS=a", "PGBATON_VIP=2001:db8::9/64")...); got.VIP.Addr().String() != "2001:db8::9" {
		t.Errorf("got %v", got.VIP)
	}
	if got, _ := mustLoad(t, nil, beside("PGBATON_PEERS=a", "PGBATON_VIP=10.0.0.9/32")...); got.VIP.Bits() != 32 {
		t.Errorf("got %v", got.VIP)
	}
}

func TestBadSettingsOfAClusterAreRefused(t *testing.T) {
	for given, why := range map[string]string{
		"PGBATON_VIP=10.0.0.9": "no address with a prefix length", "PGBATON_VIP=10.0.0.0/24": "network itself", "PGBATON_VIP=10.0.0.255/24": "all of its hosts",
		"PGBATON_VIP=127.0.0.1/8": "moves between nodes", "PGBATON_VIP=10.0.0.9/0": "moves between nodes", "PGBATON_VIP=224.0.0.18/24": "moves between nodes",
		"PGBATON_VIP=10.0.0.9/33": "prefix length", "PGBATON_VIP=fe80::1%eth0/64": "prefix length", "PGBATON_VIP=::ffff:10.0.0.9/120": "moves between nodes",
		"PGBATON_VRID=0": "out of range", "PGBATON_VRID=256": "from 1 to 255", "PGBATON_VRID=x": "not a whole number", "PGBATON_VRID=1.5": "not a whole number",
		"PGBATON_ADVERT=15ms": "no multiple of 10ms", "PGBATON_ADVERT=5ms": "out of range", "PGBATON_ADVERT=100": "no unit", "PGBATON_ADVERT=10010ms": "out of range",
		"PGBATON_DOWN_ADVERTS=2": "out of range", "PGBATON_DOWN_ADVERTS=101": "out of range",
		"PGBATON_ON_SILENCE=wait":           "promote, continue or both",
		"PGBATON_CLUSTER=my cluster":        "not usable as a name",
		"PGBATON_BOOTSTRAP=-":               "not usable as a name",
		"PGBATON_NODES=a,-":                 "not usable as a name",
		"PGBATON_NODES=,":                   "no name",
		"PGBATON_REPLICATION_USER=pg_x":     "keeps for itself",
		"PGBATON_REPLICATION_USER=Repl":     "not usable",
		"PGBATON_REPLICATION_USER=a'b":      "not usable",
		"PGBATON_REPLICATION_USER=all":      "keeps for itself",
		"PGBATON_REPLICATION_PASSWORD=1234": "shorter than 8",
	} {
		_, _, err := world(nil).load(append(beside("PGBATON_PEERS=a"), given))
		name, _, _ := strings.Cut(given, "=")
		wantRefusal(t, err, name, why, untouched)
		if strings.Contains(fmt.Sprint(err), "1234 ") {
			t.Errorf("the secret is in %v", err)
		}
	}
}

func TestSettingsOfAClusterThatContradictAreRefusedByBothNames(t *testing.T) {
	token, password := secrets[0], secrets[1]
	tests := []struct {
		name    string
		environ []string
		parts   []string
	}{
		{"peers without a token", []string{password, "PGBATON_PEERS=a"}, []string{"PGBATON_PEERS", "PGBATON_TOKEN"}},
		{"peers without a replication password", []string{token, "PGBATON_PEERS=a"}, []string{"PGBATON_PEERS", "PGBATON_REPLICATION_PASSWORD"}},
		{"peers without a TCP port", beside("PGBATON_PEERS=a", "PGBATON_LISTEN=off"), []string{"PGBATON_PEERS", "PGBATON_LISTEN"}},
		{"the superuser as replication role", beside("PGBATON_PEERS=a", "POSTGRES_USER=boss", "PGBATON_REPLICATION_USER=boss"), []string{"PGBATON_REPLICATION_USER (boss)", "POSTGRES_USER"}},
		{"the usual superuser as replication role", beside("PGBATON_PEERS=a", "PGBATON_REPLICATION_USER=postgres"), []string{"PGBATON_REPLICATION_USER (postgres)", "POSTGRES_USER"}},
		{"a certificate without its key", []string{"PGBATON_TLS_CERT=/c"}, []string{"PGBATON_TLS_CERT (/c)", "PGBATON_TLS_KEY"}},
		{"a key without its certificate", []string{"PGBATON_TLS_KEY=/k"}, []string{"PGBATON_TLS_KEY (/k)", "PGBATON_TLS_CERT"}},
		{"an authority without a certificate", []string{"PGBATON_TLS_CA=/a"}, []string{"PGBATON_TLS_CA (/a)", "PGBATON_TLS_CERT"}},
		{"peers and a certificate without an authority", beside("PGBATON_PEERS=a", "PGBATON_TLS_CERT=/c", "PGBATON_TLS_KEY=/k"), []string{"PGBATON_PEERS", "PGBATON_TLS_CA", "PGBATON_TLS_CERT"}},
		{"a VIP without peers", []string{"PGBATON_VIP=10.0.0.9/24"}, []string{"PGBATON_VIP (10.0.0.9/24)", "PGBATON_PEERS"}},
		{"nodes without peers", []string{"PGBATON_NODES=a,b"}, []string{"PGBATON_NODES (a,b)", "PGBATON_PEERS"}},
		{"a maker that is no node", beside("PGBATON_PEERS=tasks.db", "PGBATON_NODES=a,b", "PGBATON_BOOTSTRAP=c"), []string{"PGBATON_BOOTSTRAP (c)", "PGBATON_NODES (a,b)"}},
		{"bootstrap without peers", []string{"PGBATON_BOOTSTRAP=a"}, []string{"PGBATON_BOOTSTRAP (a)", "PGBATON_PEERS"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := world(nil).load(test.environ)
			wantRefusal(t, err, append(test.parts, untouched)...)
		})
	}
	if got, _ := mustLoad(t, nil, "PGBATON_PEERS=a", password, "PGBATON_TLS_CERT=/c", "PGBATON_TLS_KEY=/k", "PGBATON_TLS_CA=/a"); got.TLSCA != "/a" || got.TLSKey != "/k" || got.Token != "" {
		t.Errorf("certificates in place of a token: %+v", got)
	}
	_, _, err := world(nil).load([]string{"PGBATON_PEERS=a"})
	if strings.Count(fmt.Sprint(err), "\n") != 1 {
		t.Errorf("not a line for each of the two secrets: %v", err)
	}
}

func TestANodeOfAClusterThatIsNamedByItsContainerIsWarnedOf(t *testing.T) {
	l := world(nil)
	l.hostname = func() (string, error) { return "0123456789ab", nil }
	for _, test := range []struct {
		environ []string
		warned  bool
	}{
		{beside("PGBATON_PEERS=a"), true},
		{beside("PGBATON_PEERS=a", "PGBATON_NODE=0123456789ab"), false},
		{nil, false},
	} {
		_, warnings, err := l.load(test.environ)
		if err != nil || (len(warnings) == 1) != test.warned {
			t.Errorf("%q: %q, %v", test.environ, warnings, err)
		}
	}
}

func TestANodesNameFitsIntoApplicationName(t *testing.T) {
	if got, _ := mustLoad(t, nil, "PGBATON_NODE="+strings.Repeat("x", 63)); len(got.Node) != 63 {
		t.Error(got.Node)
	}
	_, _, err := world(nil).load([]string{"PGBATON_NODE=" + strings.Repeat("x", 64)})
	wantRefusal(t, err, "1 to 63")
}
