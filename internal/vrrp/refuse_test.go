package vrrp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
	"github.com/pgbaton/pgbaton/internal/vrrp"
	"github.com/pgbaton/pgbaton/notify"
)

func TestMissingCapabilitiesAreSaidAndNothingIsStarted(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, func(s *testbed.Spec) { s.CapAdd, s.CapDrop = nil, []string{"NET_RAW"} })
	m := b.nodes[0]
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = m.ask(t.Context(), "status", nil); err != nil && strings.Contains(err.Error(), "lacks") {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "NET_ADMIN and NET_RAW") || !strings.Contains(err.Error(), "hint: ") {
		t.Errorf("the error is %v", err)
	}
	if len(m.pids()) > 0 {
		t.Error("keepalived runs")
	}
}

func TestATrackerThatKeepalivedDropsKeepsTheAddressAway(t *testing.T) {
	t.Parallel()
	// An overlay file system is none that keepalived 2.3.3 watches.
	b := newBed(t, 1, func(s *testbed.Spec) { s.Env["VRRP_DIR"] = "/var/overlay" })
	m := b.nodes[0]
	st := m.until("refused", func(st vrrp.Status) bool { return st.Why != "" })
	m.do("eligible?to=1")
	if st.Running || !strings.Contains(st.Why, "eligible") {
		t.Errorf("%+v", st)
	}
	if m.has(b.vip) {
		t.Error("the address is there")
	}
}

// dropping is a keepalived that says nothing with -t and has no trackers when it
// runs, as one whose directory came too late.
const dropping = `#!/bin/sh
case " $* " in *" -t "*|*signum*) exec /usr/sbin/keepalived "$@" ;; esac
conf=$(echo " $* " | sed 's/.* -f \([^ ]*\) .*/\1/')
sed -i '/^track_file/,/^}/d; /^  track_file {/,/^  }/d' "$conf"
exec /usr/sbin/keepalived "$@"
`

func TestAKeepalivedThatDropsItsTrackersInSilenceIsEnded(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, patient, func(s *testbed.Spec) { // else it may be MASTER before a busy machine has ended it
		s.Files = append(s.Files, testbed.File{Path: "/wrapped/keepalived", Data: dropping, Mode: 0o755})
		s.Env["PATH"] = "/wrapped:/usr/sbin:/usr/bin:/sbin:/bin"
	})
	m := b.nodes[0]
	m.until("found out", func(st vrrp.Status) bool { return strings.Contains(st.Why, "dropped a track file") })
	m.do("eligible?to=1")
	m.until("found out again", func(st vrrp.Status) bool { return st.Starts >= 3 })
	for _, e := range m.events() {
		if e.State == notify.VRRPMaster || e.VIP {
			t.Errorf("a node that is not eligible heard %+v", e)
		}
	}
}

// TestKeepalivedTakesTheConfigurationOfEveryPlacement asks keepalived itself.
func TestKeepalivedTakesTheConfigurationOfEveryPlacement(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, func(s *testbed.Spec) {
		s.Entrypoint = []string{"sleep", "infinity"}
		s.Mounts = append(s.Mounts, testbed.Tmpfs("/run/keepalived", 1<<20))
	})
	m := b.nodes[0]
	m.MustExec("sh", "-c", "mkfifo -m 600 /run/keepalived/vrrp.fifo; echo 0 >/run/keepalived/eligible; echo 0 >/run/keepalived/pref")
	for _, p := range []notify.Placement{notify.InContainer, notify.OnHost, notify.AsSidecar} {
		for _, peers := range []int{0, 1, 3} {
			c := sample(t, p, b.net.Address)
			c.Peers = c.Peers[:peers]
			text, err := notify.Render(c)
			if err != nil {
				t.Fatal(err)
			}
			m.Write(testbed.File{Path: "/keepalived.conf", Data: text, Mode: 0o600})
			if r := m.Exec("keepalived", "-t", "-f", "/keepalived.conf"); r.Code != 0 || r.Stdout+r.Stderr != "" {
				t.Errorf("%s, peers: %d: keepalived -t says %d %s%s of\n%s", p, peers, r.Code, r.Stdout, r.Stderr, text)
			}
		}
	}
	// Several nodes of one host, each with its part.
	var all strings.Builder
	for i, name := range []string{"one", "two"} {
		c := sample(t, notify.OnHost, b.net.Address)
		c.Name, c.Bare, c.VRID = name, i > 0, 51+i
		text, err := notify.Render(c)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(text)
	}
	m.Write(testbed.File{Path: "/both.conf", Data: all.String(), Mode: 0o600})
	if r := m.Exec("keepalived", "-t", "-f", "/both.conf"); r.Code != 0 || r.Stdout+r.Stderr != "" {
		t.Errorf("keepalived -t says %d %s%s of\n%s", r.Code, r.Stdout, r.Stderr, all.String())
	}
	// That it can say no is part of the proof.
	m.MustExec("sed", "-i", "s/^vrrp_instance.*/vrrp_instance pg { strange/", "/keepalived.conf")
	if r := m.Exec("keepalived", "-t", "-f", "/keepalived.conf"); r.Code == 0 && r.Stdout+r.Stderr == "" {
		t.Error("keepalived takes anything")
	}
}
