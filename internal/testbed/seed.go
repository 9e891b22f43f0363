package testbed

import (
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// Seed returns a source of randomness and prints how to repeat it:
// PGBATON_SEED sets it.
func Seed(tb TB) *rand.Rand {
	tb.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PGBATON_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			tb.Fatalf("PGBATON_SEED=%q is not a number", s)
		}
		seed = n
	}
	tb.Logf("PGBATON_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Soak reports whether this is `make soak`: many rounds instead of a sample.
func Soak() bool { return os.Getenv("PGBATON_SOAK") == "1" }

// Rounds is the number of repetitions of a random test: a sample, or many
// when this is a soak.
func Rounds(sample, soak int) int {
	if Soak() {
		return soak
	}
	return sample
}
