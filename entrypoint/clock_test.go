package entrypoint

import (
	"strings"
	"testing"
	"time"
)

func TestAClockThatWasSetBackKeepsNoServerDown(t *testing.T) {
	t.Parallel()
	now := time.Now()
	bound := now.Add(time.Minute)
	for _, c := range []struct {
		name  string
		given time.Duration // from now
		want  time.Duration
	}{
		{"due already", -time.Hour, -time.Hour},
		{"due soon", 30 * time.Second, 30 * time.Second},
		{"due in an hour, which no pause lasts", time.Hour, time.Minute},
	} {
		if got := notAfter(now.Add(c.given), bound).Sub(now); got != c.want {
			t.Errorf("%s: it is due in %v, want %v", c.name, got, c.want)
		}
	}
	if !notAfter(time.Time{}, bound).IsZero() {
		t.Error("a time that was not set is set")
	}
}

func TestAPidFileIsWatchedByAClockThatNobodySets(t *testing.T) {
	t.Parallel()
	w, err := watchPidFile("/proc/self/exe", func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	now := time.Now()
	w.opened.Store(int64(now.Sub(w.began)) - int64(69*time.Second))
	if quiet := w.quiet(now); quiet != 69*time.Second {
		t.Errorf("it was quiet for %v", quiet)
	}
	if !strings.Contains(w.began.String(), " m=") {
		t.Error("the watch's beginning has no monotonic time")
	}
}
