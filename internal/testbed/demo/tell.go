package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// teller tells a story in chapters, with a load under way.
type teller struct {
	tb     testbed.TB
	load   *testbed.Running
	step   int
	broken []string // claims that turned out wrong
}

// flow waits until every client writes again.
func (s *teller) flow() {
	ctx, cancel := context.WithTimeout(s.tb.Context(), time.Minute)
	defer cancel()
	s.must(s.load.Flowing(ctx, 10), "see commits flow")
}

// watch lets the load run.
func (s *teller) watch(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.tb.Context().Done():
		s.tb.Fatalf("interrupted")
	}
}

// saw prints what the load saw since the last time.
func (s *teller) saw() testbed.Stats {
	seen := s.load.Lap()
	s.say("the clients saw: longest write gap %d ms, %d failed transactions, %d refused connects, %d commits",
		seen.Gap.Milliseconds(), seen.Failed, seen.Refused, seen.Acked)
	for i, e := range seen.Errors {
		if i == 3 {
			s.say("  …")
			break
		}
		s.say("  %s", e)
	}
	return seen
}

func (s *teller) chapter(format string, args ...any) {
	s.step++
	fmt.Printf("\n%d. %s\n", s.step, fmt.Sprintf(format, args...))
}

func (s *teller) say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Printf("   %s\n", strings.TrimSuffix(line, "\n"))
	}
}

// claim prints a promise and remembers when it is not kept.
func (s *teller) claim(ok bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if ok {
		s.say("ok: %s", text)
		return
	}
	s.say("NOT SO: %s", text)
	s.broken = append(s.broken, text)
}

// kept ends the story badly if a claim turned out wrong.
func (s *teller) kept() {
	if len(s.broken) > 0 {
		s.tb.Fatalf("not as promised: %s", strings.Join(s.broken, "; "))
	}
}

func (s *teller) must(err error, doing string) {
	if err != nil {
		s.tb.Fatalf("%s: %v", doing, err)
	}
}
