package config

import (
	"fmt"
	"strings"
	"testing"
)

// clustered is what an arbiter needs beside it.
func clustered(environ ...string) []string {
	return beside(append([]string{"PGBATON_PEERS=a,b"}, environ...)...)
}

func TestEndpointsOfEtcd(t *testing.T) {
	for given, want := range map[string]string{
		"http://e1:2379":                     "http://e1:2379",
		"http://e1, http://e2:1 http://e1":   "http://e1:2379 http://e2:1",
		"https://e1/,https://[::1]:2379":     "https://e1:2379 https://[::1]:2379",
		"https://10.0.0.1\nhttps://10.0.0.2": "https://10.0.0.1:2379 https://10.0.0.2:2379",
	} {
		got, _ := mustLoad(t, nil, clustered("PGBATON_ETCD="+given)...)
		if strings.Join(got.Etcd, " ") != want {
			t.Errorf("%q: got %q, want %q", given, got.Etcd, want)
		}
	}
	got, _ := mustLoad(t, map[string]string{file: "etcd: ['http://e1', 'http://e2']"}, clustered("PGBATON_ETCD_USER=u", "PGBATON_ETCD_PASSWORD=hidden-word")...)
	if len(got.Etcd) != 2 || got.EtcdUser != "u" || got.EtcdPassword.Reveal() != "hidden-word" {
		t.Errorf("got %+v", got)
	}
	if all := fmt.Sprintf("%+v %+v", got, Print(got)); strings.Contains(all, "hidden-word") {
		t.Errorf("the password is in %s", all)
	}
	if got, _ := mustLoad(t, nil, clustered("PGBATON_ETCD=https://e", "PGBATON_ETCD_CA=/ca")...); got.EtcdCA != "/ca" {
		t.Errorf("got %+v", got)
	}
}

func TestEndpointsOfEtcdThatAreRefused(t *testing.T) {
	for given, why := range map[string]string{
		",": "no endpoint", "e1:2379": "does not begin with", "ftp://e1": "does not begin with", "http://": "no host name",
		"http://e1,https://e2": "http and https", "http://e1:0": "no port", "http://e1/path": "no host name", "http://u:p@e1": "no port",
		"http://a," + many("http://e%d,", maxEndpoints): "17 endpoints",
	} {
		_, _, err := world(nil).load(clustered("PGBATON_ETCD=" + given))
		wantRefusal(t, err, "PGBATON_ETCD", why, untouched)
	}
}

func TestAPasswordInAnEndpointIsNotShownWhereThatIsRefused(t *testing.T) {
	for _, given := range []string{
		"http://u:hidden-word@e1", "http://e1,https://u:hidden-word@e2:1/x", "http://u:a/hidden-word@e1 http://e2", "ftp://hidden-word@e1",
	} {
		_, _, err := world(nil).load(clustered("PGBATON_ETCD=" + given))
		wantRefusal(t, err, "PGBATON_ETCD", untouched)
		if err != nil && strings.Contains(err.Error(), "hidden-word") {
			t.Errorf("%s: %v", given, err)
		}
	}
}

func many(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestSettingsOfTheArbiterThatContradictAreRefusedByBothNames(t *testing.T) {
	for _, test := range []struct {
		name    string
		environ []string
		parts   []string
	}{
		{"under continue", clustered("PGBATON_ETCD=http://e", "PGBATON_ON_SILENCE=continue"), []string{"PGBATON_ETCD (http://e:2379)", "PGBATON_ON_SILENCE", "continue"}},
		{"under both", clustered("PGBATON_ETCD=http://e", "PGBATON_ON_SILENCE=both"), []string{"PGBATON_ETCD", "PGBATON_ON_SILENCE", "both"}},
		{"without peers", []string{"PGBATON_ETCD=http://e"}, []string{"PGBATON_ETCD", "PGBATON_PEERS"}},
		{"a user without a password", clustered("PGBATON_ETCD=http://e", "PGBATON_ETCD_USER=u"), []string{"PGBATON_ETCD_USER", "PGBATON_ETCD_PASSWORD"}},
		{"a password without a user", clustered("PGBATON_ETCD=http://e", "PGBATON_ETCD_PASSWORD=p"), []string{"PGBATON_ETCD_USER", "PGBATON_ETCD_PASSWORD"}},
		{"a user without etcd", clustered("PGBATON_ETCD_USER=u"), []string{"PGBATON_ETCD_USER (u)", "PGBATON_ETCD is not"}},
		{"a password without etcd", clustered("PGBATON_ETCD_PASSWORD=p"), []string{"PGBATON_ETCD_PASSWORD", "PGBATON_ETCD is not"}},
		{"an authority without etcd", clustered("PGBATON_ETCD_CA=/c"), []string{"PGBATON_ETCD_CA (/c)", "PGBATON_ETCD is not"}},
		{"an authority for http", clustered("PGBATON_ETCD=http://e", "PGBATON_ETCD_CA=/c"), []string{"PGBATON_ETCD_CA (/c)", "https"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := world(nil).load(test.environ)
			wantRefusal(t, err, append(test.parts, untouched)...)
		})
	}
}
