package testbed

import (
	"context"
	"sync"
)

// inverse makes the function that takes a fault back. The test may call it
// more than once or leave it to the end; only there an error is no failure,
// since whatever the fault was in may be gone.
func inverse(tb TB, what string, f func(context.Context) error) func() {
	var once sync.Once
	undo := func(report func(string, ...any)) {
		once.Do(func() {
			// Not the test's context: that one is over when cleanups run.
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := f(ctx); err != nil {
				report("testbed: %s: %v", what, err)
			}
		})
	}
	tb.Cleanup(func() {
		if !keep() {
			undo(tb.Logf)
		}
	})
	return func() {
		tb.Helper()
		undo(tb.Fatalf)
	}
}
