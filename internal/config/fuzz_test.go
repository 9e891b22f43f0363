package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// checkBounds fails if settings that were accepted are outside of what the
// fields promise.
func checkBounds(t *testing.T, s Settings) {
	t.Helper()
	within := func(d, high time.Duration) bool { return d >= time.Second && d <= high }
	_, _, errListen := net.SplitHostPort(s.Listen)
	checks := map[string]bool{
		"config":        filepath.IsAbs(s.ConfigFile),
		"node":          nodeName.MatchString(s.Node),
		"binaries":      len(s.Binaries) > 0 && !slices.ContainsFunc(s.Binaries, func(p string) bool { return !filepath.IsAbs(p) }),
		"volume":        s.Volume == "" || filepath.IsAbs(s.Volume),
		"control_dir":   filepath.IsAbs(s.ControlDir) && len(s.ControlDir) <= maxSocketDir,
		"listen":        s.Listen == "" || errListen == nil,
		"token":         s.Token == "" || len(s.Token) >= minToken,
		"log_format":    s.LogFormat == LogText || s.LogFormat == LogJSON,
		"log_level":     s.LogLevel >= -4 && s.LogLevel <= 8,
		"on_exit":       s.OnExit == OnExitRestart || s.OnExit == OnExitExit,
		"stop_grace":    within(s.StopGrace, time.Hour),
		"smart_timeout": within(s.SmartTimeout, 24*time.Hour),
		"backoff_max":   within(s.BackoffMax, time.Hour),
		"hung_after":    s.HungAfter >= 0 && s.HungAfter <= time.Hour,
		"unready_after": s.UnreadyAfter >= 0 && s.UnreadyAfter <= 24*time.Hour,
		"slot_keep":     s.SlotKeep >= 0 && s.SlotKeep <= maxDiskWarn,
		"disk_warn":     s.DiskWarn >= 0 && s.DiskWarn <= maxDiskWarn,
		"upgrade":       slices.Contains([]UpgradePolicy{UpgradeOff, UpgradeMarker, UpgradeAuto}, s.Upgrade),
		"upgrade_keep":  s.UpgradeKeep >= 0 && s.UpgradeKeep <= node.MaxKeep,
		"hooks":         filepath.IsAbs(s.Hooks),
		"hook_timeout":  within(s.HookTimeout, 24*time.Hour),
		"peers":         len(s.Peers) <= maxPeers && !slices.ContainsFunc(s.Peers, func(p string) bool { _, _, err := net.SplitHostPort(p); return err != nil }),
		"nodes":         len(s.Nodes) <= maxPeers && (len(s.Nodes) == 0 || len(s.Peers) > 0),
		"tls":           (s.TLSCert == "") == (s.TLSKey == "") && (s.TLSCA == "" || s.TLSCert != ""),
		"secrets":       len(s.Peers) == 0 || (s.Token != "" || s.TLSCA != "") && len(s.ReplicationPassword) >= minPassword && s.Listen != "",
		"cluster":       nodeName.MatchString(s.Cluster),
		"bootstrap":     s.Bootstrap == "" || nodeName.MatchString(s.Bootstrap) && len(s.Peers) > 0,
		"on_silence":    slices.Contains([]OnSilence{OnSilencePromote, OnSilenceContinue, OnSilenceBoth}, s.OnSilence),
		"replication":   roleName.MatchString(s.ReplicationUser),
		"vip":           s.VIP == netip.Prefix{} || s.VIP.IsValid() && len(s.Peers) > 0,
		"vrid":          s.VRID >= 1 && s.VRID <= 255,
		"advert":        s.Advert >= advertStep && s.Advert <= 10*time.Second && s.Advert%advertStep == 0,
		"down_adverts":  s.DownAdverts >= 3 && s.DownAdverts <= 100,
		"rows":          len(Print(s)) == len(table),
	}
	for name, ok := range checks {
		if !ok {
			t.Errorf("%s is out of bounds: %+v", name, s)
		}
	}
}

// checkOutput fails if anything that was said holds the secret, or if an error
// is not one line for each problem.
func checkOutput(t *testing.T, s Settings, warnings []string, err error, secret string) {
	t.Helper()
	said := fmt.Sprintf("%v %+v %#v %q %v %v", s, s, s, warnings, Print(s), err)
	if strings.Contains(said, secret) {
		t.Errorf("the secret is in %s", said)
	}
	if err != nil && strings.Count(err.Error(), "\n") >= len(table) {
		t.Errorf("more lines than settings: %v", err)
	}
}

func FuzzLoadEnviron(f *testing.F) {
	for _, s := range table {
		f.Add(s.Env, s.Default, "stop_grace", "10s")
		f.Add(s.Env, "\x00\xff\n", s.Env, "1e9h")
	}
	f.Add("PGBATON_PORT", "tcp://10.0.0.1:1", "PGBATON_STOP_GRAC", "1s")
	f.Add("PGBATON_TOKEN_FILE", "/s", "PGBATON_LISTEN", ":5432")
	f.Add("PGBATON_PEERS", "a,b:1 [::1%x]:2\t[::1]", "PGBATON_VIP", "10.0.0.9/24")
	f.Add("PGBATON_PEERS", "fe80::1", "PGBATON_BOOTSTRAP", "a")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		environ := []string{name1 + "=" + value1, name2 + "=" + value2, "PGBATON_TOKEN=" + hidden, "PGBATON_REPLICATION_PASSWORD=" + hidden}
		if name1+name2+value1+value2 != "" && strings.Contains(strings.Join(environ[:2], " "), hidden) {
			t.Skip("the fuzzer wrote the secret itself")
		}
		settings, warnings, err := world(map[string]string{"/s": hidden}).load(environ)
		checkOutput(t, settings, warnings, err, hidden)
		if err == nil {
			checkBounds(t, settings)
		}
	})
}

func FuzzYAML(f *testing.F) {
	f.Add(exampleYAML(), "")
	for _, before := range []string{"token: ", "token:", "token: *", "token: !", "token: [", "token: \"", "token: |\n  ", "token_file: ", "{token: ", "? ", "- ", "%", "<<: ", "node: a\n---\ntoken: ", "binaries: [/a, "} {
		f.Add(before, "")
		f.Add(before, ": x")
		f.Add(before, "\nnode: b\n\tx")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		content := before + hidden + after
		settings, warnings, err := world(map[string]string{file: content}).load(nil)
		if err == nil {
			checkBounds(t, settings)
		}
		if tokenOnly(before) {
			checkOutput(t, settings, warnings, err, hidden)
		}
	})
}

// tokenOnly reports whether what follows before is written where a token
// belongs: elsewhere it is an ordinary value, which a message may quote.
func tokenOnly(before string) bool {
	last := before[strings.LastIndexByte(before, '\n')+1:]
	return strings.HasPrefix(last, "token:") && !strings.ContainsAny(last, "{}[],#\"'?&") && strings.Count(last, ":") == 1 && strings.Count(before, "\n") == 0
}

func FuzzOfficial(f *testing.F) {
	f.Add("POSTGRES_USER", "x", "secret\n\n", true)
	f.Add("POSTGRES_PASSWORD", "x", "a\x00\n", true)
	f.Add("POSTGRES_DB_FILE", "/f", "\n", true)
	f.Add("PGPORT", "99999999999999999999", "", false)
	f.Add("PG_MAJOR", "-0", "", false)
	f.Fuzz(func(t *testing.T, name, value, content string, exists bool) {
		files := map[string]string{}
		if exists {
			files["/f"] = content
		}
		environ := []string{"PGBATON_TOKEN=" + hidden, "POSTGRES_PASSWORD_FILE=/f", name + "=" + value}
		official, err := LoadOfficial(environ, secretFiles(files))
		if err != nil {
			return
		}
		if official.User == "" || official.Database == "" || official.Port < 1 || official.Port > 65535 || official.Major < 0 {
			t.Errorf("out of bounds: %+v", official)
		}
		if strings.HasSuffix(official.Password.Reveal(), "\n") || strings.Contains(official.Password.Reveal(), "\x00") {
			t.Errorf("the password keeps what bash drops: %q", official.Password.Reveal())
		}
		checkEnviron(t, official, environ)
	})
}

// checkEnviron fails if the environment for init scripts holds what it must
// not, or reads differently when it is loaded again.
func checkEnviron(t *testing.T, official Official, environ []string) {
	t.Helper()
	out := official.Environ(environ)
	for _, entry := range out {
		if strings.HasPrefix(entry, prefix) || strings.HasPrefix(entry, "POSTGRES_PASSWORD_FILE=") {
			t.Errorf("%q is left", entry)
		}
	}
	again, err := LoadOfficial(out, secretFiles(nil))
	if err != nil || again != official {
		t.Errorf("loaded again it is %+v, %v; was %+v", again, err, official)
	}
	if _, err := official.VerifyMinimum(); err != nil && official.Password != "" {
		t.Errorf("a password was not enough: %v", err)
	}
}
