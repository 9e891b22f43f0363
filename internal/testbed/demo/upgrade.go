package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// rehearse upgrades a copy while the clients go on.
func (s *story) rehearse() {
	s.chapter("`pgbaton upgrade rehearse --target %d`: all of it on a copy, beside the running server", s.target)
	s.load.Lap()
	if code := s.follow(stepsOnly, "rehearse", "--target", strconv.Itoa(s.target)); code != 0 {
		s.tb.Fatalf("the rehearsal ended with exit code %d", code)
	}
	s.forecast = s.latest()
	s.claim(s.forecast.Outcome == node.Rehearsed, "rehearsed; expected time without service: %s", seconds(s.forecast.Forecast))
	seen := s.saw()
	s.claim(seen.Failed == 0 && seen.Refused == 0, "no client noticed")
}

// dropMarker asks for the upgrade as a user does, and follows it.
func (s *story) dropMarker() {
	file := home + "/upgrade"
	s.chapter("echo %d > %s", s.target, file)
	s.load.Lap()
	before := s.forecast.ID
	s.c.Drop(testbed.ByExec, file, strconv.Itoa(s.target)+"\n")
	dropped := time.Now()
	s.c.Eventually(time.Minute, "the marker is taken", func() bool { return s.latest().ID != before })
	s.say("taken after %d ms; `pgbaton upgrade status --watch` prints:", time.Since(dropped).Milliseconds())
	code := s.follow(everyLine, "status", "--watch")
	s.upgrade = s.latest()
	s.flow()
	s.claim(code == 0 && s.upgrade.Outcome == node.UpgradeDone, "%s", s.upgrade.Why)
	s.seen = s.saw()
	if s.upgrade.Outcome != node.UpgradeDone {
		s.tb.Fatalf("the upgrade is %s: %s", s.upgrade.Outcome, s.upgrade.Why)
	}
}

// follow runs a command of `pgbaton upgrade` and prints what it says as it
// says it: the lines that show chooses, and not the summary, which the table
// repeats.
func (s *story) follow(show func(string) bool, args ...string) int {
	args = append([]string{"pgbaton", "upgrade"}, append(args, "-o", "json")...)
	progress, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		printProgress(os.Stdout, progress, show)
	}()
	r := s.c.Do(testbed.Command{Args: args, Timeout: long, Live: w})
	w.Close()
	<-done
	return r.Code
}

// latest is what the node says about its latest upgrade; the zero value if
// there was none.
func (s *story) latest() (u node.Upgrade) {
	r := s.c.Exec("pgbaton", "upgrade", "status", "-o", "json")
	if r.Stdout != "" {
		s.must(json.Unmarshal([]byte(r.Stdout), &u), "read the upgrade's status")
	}
	return u
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
