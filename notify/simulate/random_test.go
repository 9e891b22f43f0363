package simulate

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/pgbaton/pgbaton/notify"
)

// TestMain chooses how many histories each test runs: a sample, or many in a
// soak, unless -rapid.checks says so.
func TestMain(m *testing.M) {
	flag.Parse()
	checks := "150"
	if soak() {
		checks = "30000"
	}
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(checks); err != nil {
			panic(err)
		}
	}
	if err := flag.Set("rapid.nofailfile", "true"); err != nil { // the seed is printed
		panic(err)
	}
	os.Exit(m.Run())
}

func soak() bool { return os.Getenv("PGBATON_SOAK") == "1" }

// seed is where randomness outside of rapid begins; PGBATON_SEED repeats it.
func seed(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv("PGBATON_SEED"), 10, 64)
	if err != nil {
		n = rand.Uint64()
	}
	t.Logf("PGBATON_SEED=%d", n)
	return n
}

// history is one random life of a cluster: it makes itself, is tormented, and
// heals.
func history(t *rapid.T, policy notify.Silence) {
	w := torture(t, policy, torments)
	w.heal()
	w.whole()
}

// torture is the part of a history before anything is healed.
func torture(t *rapid.T, policy notify.Silence, torments []torment) *world {
	dice := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
	w := newWorld(t, dice, policy, 2+dice(2, "more nodes"))
	w.torture(t, torments)
	return w
}

func (w *world) torture(t *rapid.T, torments []torment) {
	dice := w.dice
	w.tasks = dice(2, "one name for all nodes") == 1
	for _, n := range w.boxes {
		w.startContainer(n)
	}
	if dice(4, "not yet whole") != 3 {
		calm := w.dice
		w.dice = func(int, string) int { return 0 }
		w.whole()
		w.dice = calm
	}
	for range rapid.IntRange(1, 60).Draw(t, "torments") {
		x := torments[dice(len(torments), "torment")]
		x(w, w.boxes[dice(len(w.boxes), "node")])
	}
}

func TestNoHistoryLosesAnAcknowledgedCommitOrSticks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { history(t, notify.SilencePromote) })
}

func TestNoHistoryUnderContinueLosesAnAcknowledgedCommitOrSticks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { history(t, notify.SilenceContinue) })
}
