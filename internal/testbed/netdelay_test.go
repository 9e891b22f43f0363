package testbed

import (
	"fmt"
	"testing"
	"time"
)

func TestNarrowAndFarLinks(t *testing.T) {
	t.Parallel()
	n, all := echoNodes(t, 2)
	a, b := all[0], all[1]
	const size = 500_000
	widen := n.Narrow(a, 2_000_000)
	took, err := ask(t.Context(), a.Spec.IP, fmt.Sprint("send ", size), time.Minute)
	if err != nil || took < 1500*time.Millisecond {
		t.Errorf("4 Mbit over a link of 2 Mbit/s took %v, %v", took, err)
	}
	widen()
	b.Eventually(long, "the link is as wide as before", func() bool {
		took, err := ask(t.Context(), a.Spec.IP, fmt.Sprint("send ", size), time.Minute)
		return err == nil && took < 1500*time.Millisecond
	})

	const delay = 60 * time.Millisecond
	near := n.Delay(a, delay)
	for range 2 {
		// Twice there and back: for the connection and for the question.
		took, err = ask(t.Context(), a.Spec.IP, "hello", time.Minute)
		if err != nil || took < 4*delay {
			t.Errorf("a question over a link with a delay of %v took %v, %v", delay, took, err)
		}
		a.Restart(0)
		a.Eventually(long, "answers", func() bool { return reaches(t, a.Spec.IP) })
	}
	if took, err = ask(t.Context(), a.Spec.IP, fmt.Sprint("send ", 10*size), time.Minute); err != nil {
		t.Errorf("5 MB over a far link: %v", err)
	}
	t.Logf("5 MB took %v", took)
	if !sees(b, a.Spec.IP, 30) || !sees(a, b.Spec.IP, 30) {
		t.Error("n1 and n2 do not see each other over the far link")
	}
	near()
	b.Eventually(long, "a near link again", func() bool {
		took, err = ask(t.Context(), a.Spec.IP, "hello", time.Second)
		return err == nil && took < 4*delay
	})
}
