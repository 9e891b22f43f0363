package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// serveFake serves f on a socket until stop is called.
func serveFake(t *testing.T, f *fake, socket string) (stop func()) {
	t.Helper()
	s, err := nodeapi.Start(nodeapi.Config{Source: f, Steerer: f, Log: slog.New(slog.DiscardHandler), Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// running is a node in the middle of an upgrade.
func running() node.State {
	now := time.Now()
	return node.State{
		Phase: node.Upgrading, Why: "pg_upgrade runs", Time: now, Major: 15, Available: []int{15, 17},
		Upgrade: &node.Upgrade{
			ID: "one", Do: node.UpgradeNow, Outcome: node.UpgradeRunning, From: 15, To: 17, Mode: node.ModeLink, Started: now.Add(-5 * time.Second),
			Percent: 42, Doing: "restoring schemas",
			Steps: []node.UpgradeStep{
				{Name: node.StepPreflight, State: node.StepDone, Took: 1234 * time.Millisecond},
				{Name: node.StepPgUpgrade, State: node.StepRunning, Started: now.Add(-2 * time.Second)},
				{Name: node.StepFinish, State: node.StepPending},
			},
		},
	}
}

func (f *fake) store(st node.State) { f.st.Store(&st) }

// ended is that node after its upgrade.
func ended(outcome node.Outcome) node.State {
	st := running()
	st.Phase, st.Ready, st.Upgrade.Outcome, st.Upgrade.Why, st.Upgrade.Ended = node.Running, true, outcome, "so it ended", time.Now()
	st.Upgrade.Steps[1].State, st.Upgrade.Steps[1].Took = node.StepDone, 3*time.Second
	return st
}

func TestACommandFollowsAnUpgradeAcrossARestartOfTheSupervisor(t *testing.T) {
	socket := filepath.Join(t.TempDir(), nodeapi.SocketName)
	f := &fake{}
	f.store(running())
	stop := serveFake(t, f, socket)
	const silent = "the supervisor does not answer; waiting for it\n"
	var out printed
	follower := newFollower(nodeapi.NewClient(socket), newView(&out, ""))
	follower.interval = 10 * time.Millisecond
	go func() {
		f.seen()
		stop()
		for begun := time.Now(); !strings.Contains(out.String(), silent) && time.Since(begun) < 20*time.Second; {
			time.Sleep(5 * time.Millisecond)
		}
		starting := running()
		starting.Phase, starting.Upgrade = node.Starting, nil // the journal was not read yet
		f.store(starting)
		stop = serveFake(t, f, socket)
		f.seen()
		f.store(ended(node.UpgradeDone))
	}()
	u, err := follower.follow(t.Context(), f.State())
	stop()
	if err != nil || u.Outcome != node.UpgradeDone {
		t.Errorf("%+v %v", u, err)
	}
	if n := strings.Count(out.String(), silent); n != 1 {
		t.Errorf("said %d times that nobody answers:\n%s", n, &out)
	}
}

// printed is what a command prints, for one who reads it meanwhile.
type printed struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *printed) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *printed) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestACommandGivesUpOnASupervisorThatStaysAway(t *testing.T) {
	f := newFollower(nodeapi.NewClient(filepath.Join(t.TempDir(), nodeapi.SocketName)), newView(io.Discard, ""))
	f.interval, f.patience = 5*time.Millisecond, 50*time.Millisecond
	_, err := f.follow(t.Context(), running())
	var end *failed
	if !errors.As(err, &end) || end.code != exitSilent || !strings.Contains(err.Error(), "the upgrade goes on by itself") {
		t.Errorf("%v", err)
	}
}

func TestACommandGivesUpOnARequestThatTheNodeTellsNothingOf(t *testing.T) {
	socket := filepath.Join(t.TempDir(), nodeapi.SocketName)
	f := &fake{}
	f.store(ended(node.UpgradeDone))
	stop := serveFake(t, f, socket)
	defer stop()
	follower := newFollower(nodeapi.NewClient(socket), newView(io.Discard, ""))
	follower.interval, follower.patience = 5*time.Millisecond, 50*time.Millisecond
	follower.asked, follower.before = node.UpgradeNow, markOf(f.State().Upgrade)
	_, err := follower.follow(t.Context(), f.State())
	var end *failed
	if !errors.As(err, &end) || end.code != exitNo || !strings.Contains(err.Error(), "tells nothing of this request") {
		t.Errorf("%v", err)
	}
}

func TestInterruptingACommandDoesNotInterruptTheUpgrade(t *testing.T) {
	socket := filepath.Join(t.TempDir(), nodeapi.SocketName)
	f := &fake{}
	f.store(running())
	stop := serveFake(t, f, socket)
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	follower := newFollower(nodeapi.NewClient(socket), newView(io.Discard, ""))
	follower.interval = 5 * time.Millisecond
	go func() { f.seen(); cancel() }()
	_, err := follower.follow(ctx, f.State())
	var end *failed
	if !errors.As(err, &end) || end.code != exitNo || !strings.Contains(err.Error(), "no longer watching; the upgrade goes on") {
		t.Errorf("%v", err)
	}
}

func TestTheOutcomeIsToldThoughTheServerDoesNotComeBack(t *testing.T) {
	socket := filepath.Join(t.TempDir(), nodeapi.SocketName)
	f := &fake{}
	st := ended(node.UpgradeUndone)
	st.Phase, st.Ready = node.Recovering, false
	f.store(st)
	stop := serveFake(t, f, socket)
	defer stop()
	follower := newFollower(nodeapi.NewClient(socket), newView(io.Discard, ""))
	follower.interval, follower.patience = 5*time.Millisecond, time.Second
	if u, err := follower.follow(t.Context(), st); err != nil || u.Outcome != node.UpgradeUndone {
		t.Errorf("%+v %v", u, err)
	}
}

func TestEveryOutcomeHasItsExitCode(t *testing.T) {
	for _, test := range []struct {
		asked   node.UpgradeVerb
		outcome node.Outcome
		code    int
	}{
		{node.UpgradeNow, node.UpgradeDone, exitOK},
		{node.UpgradeNow, node.UpgradeFinished, exitOK}, // status --watch, after a finish
		{node.UpgradeNow, node.UpgradeRefused, exitNo},
		{node.UpgradeNow, node.UpgradeFailed, exitUndone},
		{node.UpgradeNow, node.UpgradeUndone, exitUndone},
		{node.UpgradeNow, node.UpgradeHeld, exitHeld},
		{node.UpgradeCheck, node.UpgradeChecked, exitOK},
		{node.UpgradeCheck, node.UpgradeRefused, exitNo},
		{node.UpgradeRehearse, node.Rehearsed, exitOK},
		{node.UpgradeRehearse, node.UpgradeFailed, exitUndone},
		{node.UpgradeUndo, node.UpgradeUndone, exitOK},
		{node.UpgradeUndo, node.UpgradeDone, exitUndone},
		{node.UpgradeUndo, node.UpgradeHeld, exitHeld},
		{node.UpgradeFinish, node.UpgradeFinished, exitOK},
		{node.UpgradeFinish, node.UpgradeDone, exitUndone},
	} {
		err := verdict(test.asked, node.Upgrade{Outcome: test.outcome})
		code, end := exitOK, (*failed)(nil)
		if errors.As(err, &end) {
			code = end.code
		}
		if code != test.code {
			t.Errorf("%s that ends %s: code %d, want %d", test.asked, test.outcome, code, test.code)
		}
	}
}

func TestOnATerminalTheStepsAreRedrawnInPlace(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := pty.Setsize(slave, &pty.Winsize{Rows: 24, Cols: 40}); err != nil {
		t.Fatal(err)
	}
	screen := make(chan string, 1)
	go func() {
		data, _ := io.ReadAll(master) // ends with an error when the other side is closed
		screen <- string(data)
	}()
	v := newView(slave, node.UpgradeNow)
	if _, ok := v.(*drawing); !ok {
		t.Fatalf("a %T on a terminal", v)
	}
	v.show(running())
	v.silent()
	v.show(ended(node.UpgradeDone))
	v.end()
	_ = slave.Close()
	got := <-screen
	for _, want := range []string{
		"upgrade from 15 to 17, mode link, 5.0s\x1b[K", "  1  preflight   done         1.2s\x1b[K",
		"  2  pg_upgrade  running      2.0s  42 \x1b[K", // cut to the width
		"clients are not served: pg_upgrade runs\x1b[K",
		"\x1b[1A\rthe supervisor does not answer", "\x1b[4A\rupgrade from 15 to 17, mode link\x1b[K",
		"  2  pg_upgrade  done         3.0s\x1b[K", "clients are served\x1b[K",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not on the screen: %q\nin %q", want, got)
		}
	}
	if strings.Contains(got, "finish") {
		t.Error("a step that waits for a command of its own is shown")
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(got, "\r", ""), "\n") {
		text := strings.NewReplacer("\x1b[K", "", "\x1b[J", "", "\x1b[4A", "", "\x1b[1A", "").Replace(line)
		if len(text) >= 40 {
			t.Errorf("a line as wide as the terminal: %q", text)
		}
	}
}

func TestAPercentageAloneIsALineForEveryTenth(t *testing.T) {
	var out bytes.Buffer
	v := newView(&out, "")
	st := running()
	for percent := 1.; percent <= 100; percent++ {
		st.Upgrade.Percent = percent
		v.show(st)
	}
	if n := strings.Count(out.String(), "restoring schemas"); n != 11 {
		t.Errorf("%d lines:\n%s", n, &out)
	}
}

func TestASummaryFitsInto80ColumnsAndStaysBounded(t *testing.T) {
	u := *ended(node.UpgradeDone).Upgrade
	long := strings.Repeat("a sentence that goes on ", 200)
	u.Why, u.Undo, u.Reminders = long[:200], long[:200], []string{long[:300]}
	u.Findings = []node.Finding{{Level: node.Note, Code: "x", Text: long[:200], Hint: long[:200], Detail: long}}
	u.FinishAt, u.Retired = time.Date(2026, 11, 26, 7, 43, 0, 0, time.UTC), "/var/lib/postgresql/.pgbaton/retired/20261123T074300.000Z"
	var b bytes.Buffer
	if err := printUpgrade(&b, u, table); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > tableWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(strings.Join(strings.Fields(b.String()), " "), "kept until 2026-11-26 07:43 UTC") || b.Len() > 4000 {
		t.Errorf("%d bytes:\n%s", b.Len(), &b)
	}
}

func TestTheStatusTableTellsOfUpgrades(t *testing.T) {
	kept := ended(node.UpgradeDone)
	kept.Major, kept.Available, kept.Upgrade.Retired = 17, []int{17}, "/v/.pgbaton/retired/x"
	bare := running()
	bare.Upgrade, bare.Available = nil, []int{13, 15}
	thin := kept
	thin.Server = &node.Server{StatisticsMissing: 12}
	for name, test := range map[string]struct {
		st   node.State
		want string
	}{
		"one that runs":        {running(), "upgrade     upgrade from 15 to 17, mode link, step 2 of 2 (pg_upgrade) for 2.0s,\n            restoring schemas 42 %, see `pgbaton upgrade status --watch`"},
		"an old cluster":       {kept, "upgrade     the old cluster, 15, is in /v/.pgbaton/retired/x, kept until\n            `pgbaton upgrade finish`"},
		"no newer major":       {bare, ""},
		"statistics that lack": {thin, "statistics  missing for 12 relations"},
	} {
		var b bytes.Buffer
		if err := printStatus(&b, test.st, false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), test.want) || test.want == "" && strings.Contains(b.String(), "\nupgrade ") {
			t.Errorf("%s:\n%s", name, &b)
		}
	}
}

func TestThreeNewerMajorsAreASentence(t *testing.T) {
	st := node.State{Major: 13, Available: []int{13, 15, 17, 18}}
	if got := newerText(st); !strings.HasPrefix(got, "upgrades to 15, 17 and 18 are available") {
		t.Error(got)
	}
	if got := newerText(node.State{Available: []int{15, 17}}); got != "" {
		t.Errorf("an empty volume: %s", got)
	}
}

func TestAnAnswerOtherThanYesIsANo(t *testing.T) {
	for answer, ok := range map[string]bool{"yes\n": true, " yes \r\n": true, "yes": true, "y\n": false, "\n": false, "": false, "no\n": false} {
		if err := ask(strings.NewReader(answer), io.Discard, "It costs."); (err == nil) != ok {
			t.Errorf("%q: %v", answer, err)
		}
	}
	if err := ask(brokenInput{}, io.Discard, ""); err == nil || !strings.Contains(fmt.Sprint(err), "read the answer") {
		t.Errorf("%v", err)
	}
}

type brokenInput struct{}

func (brokenInput) Read([]byte) (int, error) { return 0, os.ErrClosed }
