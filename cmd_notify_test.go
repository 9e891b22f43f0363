package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/vrrp"
)

// notified is a supervisor's ear for keepalived's events.
type notified struct {
	fake
	heard chan node.VRRPEvent
}

func (n *notified) VRRP(_ context.Context, e node.VRRPEvent) (string, error) {
	if e.State == "STOP" {
		return "", errors.New("keepalived has ended; the role stays\nhint: start it")
	}
	n.heard <- e
	return "the role stays: this node is the primary", nil
}

// next is the next event that was heard.
func (n *notified) next(t *testing.T) (e node.VRRPEvent) {
	t.Helper()
	select {
	case e = <-n.heard:
	case <-time.After(30 * time.Second):
		t.Fatal("the supervisor heard nothing")
	}
	return e
}

// listen serves a control socket and returns its path.
func listen(t *testing.T) (string, *notified) {
	t.Helper()
	n := &notified{heard: make(chan node.VRRPEvent, 10)}
	n.st.Store(&node.State{Node: "n1", Time: time.Now()})
	socket := filepath.Join(t.TempDir(), "s")
	s, err := nodeapi.Start(nodeapi.Config{Source: n, Steerer: n, Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return socket, n
}

// called is what a notify command printed and the code that it ended with.
func called(t *testing.T, args ...string) (code int, out, errout string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := newNotify()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	ran, err := cmd.ExecuteContextC(t.Context())
	code = report(&stderr, ran, err)
	return code, stdout.String(), stderr.String()
}

func TestTheHookTellsTheSupervisorAndPrintsItsVerdict(t *testing.T) {
	socket, n := listen(t)
	before := time.Now()
	code, out, errout := called(t, "--socket", socket, "--vip", "127.0.0.1", "INSTANCE", "pg", "MASTER", "254")
	if code != exitOK || out != "the role stays: this node is the primary\n" || errout != "" {
		t.Errorf("%d %q %q", code, out, errout)
	}
	e := n.next(t)
	if e.Time.Before(before.Add(-time.Second)) || e.Time.After(time.Now().Add(time.Second)) {
		t.Errorf("the time of the event is %v", e.Time)
	}
	if e.Uptime <= 0 || e.Uptime > vrrp.Uptime() {
		t.Errorf("by the kernel's clock it is %v, and now %v", e.Uptime, vrrp.Uptime())
	}
	e.Time, e.Uptime = time.Time{}, 0
	if want := (node.VRRPEvent{Source: "hook", Type: "INSTANCE", Name: "pg", State: "MASTER", Priority: 254, VIP: true}); e != want {
		t.Errorf("heard %+v, want %+v", e, want)
	}
	if code, _, _ := called(t, "--socket", socket, "--instance", "sales", "--vip", "192.0.2.1", "INSTANCE", "sales", "FAULT", "0"); code != exitOK {
		t.Errorf("an instance of another name ends with %d", code)
	}
	if e := n.next(t); e.Name != "pg" || e.VIP || e.State != "FAULT" {
		t.Errorf("heard %+v", e)
	}
}

func TestWhatTheHookDoesNotUnderstandReachesNobody(t *testing.T) {
	socket, n := listen(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"INSTANCE", "pg", "KING", "1"}, exitUsage, "KING"},
		{[]string{"INSTANCE", "pg", "MASTER"}, exitUsage, "3 arguments"},
		{[]string{"MASTER"}, exitUsage, "1 arguments"},
		{[]string{"INSTANCE", "pg", "MASTER", "many"}, exitUsage, "priority"},
		{[]string{"INSTANCE", "web", "MASTER", "1"}, exitNo, "--instance"},
		{[]string{"GROUP", "pg", "MASTER", "0"}, exitNo, "GROUP"},
		{[]string{"--vip", "nine", "INSTANCE", "pg", "MASTER", "1"}, exitUsage, "no address"},
		{[]string{"--strange", "INSTANCE", "pg", "MASTER", "1"}, exitUsage, "strange"},
		{[]string{"INSTANCE", "pg", "STOP", "1"}, exitNo, "hint: start it"},
		{[]string{"check", "x"}, exitUsage, "x"},
	} {
		args := append([]string{"--socket", socket}, c.args...)
		if c.args[0] == "check" {
			args = append([]string{"check", "--socket", socket}, c.args[1:]...)
		}
		code, out, errout := called(t, args...)
		if code != c.code || out != "" || !strings.Contains(errout, c.says) {
			t.Errorf("%v: code %d, %q, %q; want %d and %q", c.args, code, out, errout, c.code, c.says)
		}
	}
	select {
	case e := <-n.heard:
		t.Errorf("the supervisor heard %+v", e)
	default:
	}
}

func TestTheHookEndsInTimeThoughNobodyAnswers(t *testing.T) {
	mute := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", mute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, c) }() // hears all and says nothing
		}
	}()
	for _, socket := range []string{filepath.Join(t.TempDir(), "none"), mute} {
		for _, args := range [][]string{{"--socket", socket, "INSTANCE", "pg", "MASTER", "254"}, {"check", "--socket", socket}} {
			began := time.Now()
			code, _, errout := called(t, args...)
			if code != exitSilent || !strings.Contains(errout, "no supervisor answers") {
				t.Errorf("%v: code %d, %q", args, code, errout)
			}
			if took := time.Since(began); took > 20*time.Second { // a second, on a machine that has time
				t.Errorf("%v took %v", args, took)
			}
		}
	}
}

func TestCheckIsYesWhileTheSupervisorLives(t *testing.T) {
	socket, n := listen(t)
	if code, out, errout := called(t, "check", "--socket", socket); code != exitOK || out+errout != "" {
		t.Errorf("%d %q %q", code, out, errout)
	}
	for _, vip := range []string{"127.0.0.1", "192.0.2.1"} {
		if code, out, errout := called(t, "check", "--socket", socket, "--vip", vip); code != exitOK || out+errout != "" {
			t.Errorf("--vip %s: %d %q %q", vip, code, out, errout)
		}
		if e := n.next(t); e.Source != vrrp.FromCheck || e.State != "" || e.VIP != (vip == "127.0.0.1") || e.Uptime <= 0 {
			t.Errorf("of %s it tells %+v", vip, e)
		}
	}
	if code, _, errout := called(t, "check", "--socket", socket, "--vip", "nine"); code != exitUsage || !strings.Contains(errout, "no address") {
		t.Errorf("of no address it says %d %q", code, errout)
	}
	n.st.Store(&node.State{Node: "n1", Time: time.Now().Add(-time.Hour)})
	if code, _, errout := called(t, "check", "--socket", socket); code != exitNo || !strings.Contains(errout, "has not looked") {
		t.Errorf("a loop that hangs: %d %q", code, errout)
	}
}

func TestConfIsMadeFromSettingsAndFlags(t *testing.T) {
	for _, kv := range []string{"PGBATON_NODE=n1", "PGBATON_PEERS=db1,db2", "PGBATON_TOKEN=secret-token-secret-token", "PGBATON_REPLICATION_PASSWORD=hidden-hidden", "PGBATON_VIP=10.9.8.100/24", "PGBATON_VRID=77", "PGBATON_ADVERT=50ms"} {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	flags := []string{"config", "--interface", "eth7", "--source", "10.9.8.1", "--peers", "10.9.8.3, 10.9.8.2,10.9.8.1,10.9.8.100,10.9.8.2"}
	code, out, errout := called(t, flags...)
	for _, want := range []string{
		"interface eth7\n", "virtual_router_id 77\n", "advert_int 0.05\n", "unicast_src_ip 10.9.8.1\n", "    10.9.8.2\n    10.9.8.3\n  }", "10.9.8.100/24 dev eth7\n",
		"router_id n1\n", "file /run/pgbaton/vrrp/eligible\n", "notify \"/usr/local/bin/pgbaton notify --socket /run/pgbaton/control.sock --instance pg --vip 10.9.8.100\"",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing: %d %s in\n%s", want, code, errout, out)
		}
	}
	if strings.Contains(out, "secret") || strings.Contains(out, "hidden") {
		t.Error("a secret is in the configuration")
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{append(flags, "--placement", "moon"), exitNo, "placement"},
		{append(flags, "--vip", "10.9.8.7"), exitUsage, "length of its network"},
		{append(flags, "--peers", "db1"), exitUsage, "no address"},
		{append(flags, "--source", "here"), exitUsage, "no address"},
		{[]string{"config", "--peers", "10.9.8.2"}, exitNo, "hint: say them"},
	} {
		if code, out, errout := called(t, c.args...); code != c.code || out != "" || !strings.Contains(errout, c.says) {
			t.Errorf("%v: %d %q %q; want %d and %q", c.args, code, out, errout, c.code, c.says)
		}
	}
	t.Setenv("PGBATON_VIP", "")
	if code, _, errout := called(t, flags...); code != exitNo || !strings.Contains(errout, "--vip") {
		t.Errorf("without a VIP: %d %q", code, errout)
	}
	if code, out, errout := called(t, append(flags, "--vip", "10.9.8.99/24")...); code != exitOK || !strings.Contains(out, "    10.9.8.99/24 dev eth7\n") {
		t.Errorf("with --vip: %d %q %q", code, out, errout)
	}
}
