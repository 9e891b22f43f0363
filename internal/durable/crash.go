package durable

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
)

// CrashEnv names the environment variable with which the tests stop this
// process at one durable operation: FILE:MOMENT or FILE:MOMENT:N, where FILE
// may be a pattern of path.Match, MOMENT is before, written, renamed, done,
// before-remove or removed, and N counts how often this process passed the
// point ("upgrade.json:renamed:3"; default 1). The process then says so on
// standard error and stands still for good, so that the test can kill it, or
// cut the power, at exactly that point.
//
// "@PATH" has the first line of that file say the point, looked at each time
// that one is passed: so a process that has run for long can be stopped in what
// it does next, and the one after it, of the same environment, is not. N counts
// from when the file's content became what it is.
const CrashEnv = "PGBATON_CRASH_AT"

// CrashLogEnv names the environment variable that, set to anything, makes
// this process say on standard error each point that it passes, in the form
// that CrashEnv takes: so a test learns all points of a long operation.
const CrashLogEnv = "PGBATON_CRASH_LOG"

// points is what the environment asks for, and how often each point was passed.
var points struct {
	once   sync.Once
	wanted string // CrashEnv
	log    bool   // CrashLogEnv

	mu     sync.Mutex
	said   string // what the file of "@PATH" said last
	passed map[string]int
}

// crash stands still where the environment asks for it.
func crash(name, moment string) {
	points.once.Do(func() {
		points.wanted, points.log = os.Getenv(CrashEnv), os.Getenv(CrashLogEnv) != ""
		points.passed = map[string]int{}
	})
	if points.wanted == "" && !points.log {
		return
	}
	file := path.Base(name)
	wanted, n := pass(file, moment)
	if points.log {
		fmt.Fprintf(os.Stderr, "pgbaton: crash point %s:%s:%d\n", file, moment, n)
	}
	if asked(wanted, file, moment, n) {
		fmt.Fprintf(os.Stderr, "pgbaton: standing still at crash point %s\n", wanted)
		select {}
	}
}

// pass counts one passing of a point, and says which one is wanted now.
func pass(file, moment string) (wanted string, n int) {
	points.mu.Lock()
	defer points.mu.Unlock()
	wanted = points.wanted
	if from, fromFile := strings.CutPrefix(wanted, "@"); fromFile {
		text, _ := os.ReadFile(from) // without the file, no point is wanted
		if string(text) != points.said {
			points.said, points.passed = string(text), map[string]int{}
		}
		wanted, _, _ = strings.Cut(points.said, "\n")
	}
	points.passed[file+":"+moment]++
	return wanted, points.passed[file+":"+moment]
}

// asked reports whether this passing of a point is the wanted one.
func asked(wanted, file, moment string, n int) bool {
	pattern, rest, _ := strings.Cut(wanted, ":")
	when, times, _ := strings.Cut(rest, ":")
	count := 1
	if times != "" {
		var err error
		if count, err = strconv.Atoi(times); err != nil {
			return false
		}
	}
	fits, err := path.Match(pattern, file)
	return err == nil && fits && when == moment && n == count
}

// Point is a crash point outside this package's own operations: a step whose
// effect is durable by other means (initdb, a server's stop).
func Point(step, moment string) { crash(step, moment) }
