package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

func TestAPeersFailureEndsItsTrialAndNothingElse(t *testing.T) {
	var told []string
	tell := func(what string) func() { return func() { told = append(told, what) } }
	why := try(t, func(tb testbed.TB) {
		tb.Cleanup(tell("first"))
		tb.Cleanup(func() { tell("second")(); tb.Fatalf("and a cleanup fails too") })
		tb.Cleanup(tell("third"))
		tb.Fatalf("round %d failed\nwith more to tell", 2)
		tell("went on")()
	})
	if why != "round 2 failed" || t.Failed() {
		t.Errorf("failed with %q, the test itself: %v", why, t.Failed())
	}
	if !slices.Equal(told, []string{"third", "second", "first"}) {
		t.Errorf("cleanups: %q, want all of them, the last one first", told)
	}
	if why := try(t, func(testbed.TB) {}); why != "" {
		t.Errorf("failed with %q, want nothing", why)
	}
}

// unreachable is a cluster whose VIP nobody has.
type unreachable struct{}

func (unreachable) DSN(context.Context) (string, error)   { return "", errors.New("nobody has the VIP") }
func (unreachable) Whole() (primary *testbed.Container)   { return nil }
func (unreachable) Switchover(primary *testbed.Container) {}

func TestWhatAPeerCannotDoIsToldAndTheNextOperationBeginsAnew(t *testing.T) {
	starts := 0
	c := contender{name: "peer", deaths: 2, start: func(testbed.TB) contested { starts++; return unreachable{} }}
	s := newScore(c.name)
	s.add(t, c, 2, 0, 2)
	if starts != len(operations) || s.unaudited != len(operations) || len(s.failures) != len(operations) {
		t.Errorf("%d starts, %d series not compared, failures %q; want one for each of %d operations", starts, s.unaudited, s.failures, len(operations))
	}
	for i, f := range s.failures {
		if !strings.Contains(f, operations[i].name) || !strings.Contains(f, "nobody has the VIP") {
			t.Errorf("failure %q does not say that %s found nobody", f, operations[i].name)
		}
	}
	c.start = func(tb testbed.TB) contested { starts++; tb.Fatalf("no image"); return nil }
	starts, s = 0, newScore(c.name)
	if s.add(t, c, 2, 0, 2); starts != 1 || len(s.failures) != 1 || s.unaudited != 0 {
		t.Errorf("%d starts, %d series not compared, failures %q; want one start that failed", starts, s.unaudited, s.failures)
	}
}
