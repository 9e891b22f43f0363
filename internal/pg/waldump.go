package pg

import (
	"bytes"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// walScan reads pg_waldump's lines as they come; there may be millions.
type walScan struct {
	part        []byte
	end         node.LSN // of the last record, about: page headers in between are not counted
	commits     int
	first, last time.Time
}

// walRecord is a line of pg_waldump (WALDumpDisplayRecord in pg_waldump.c). It
// is compiled where it is needed: PID 1 is a process of this binary too.
var walRecord = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^rmgr: (\S+) +len \(rec/tot\): *\d+/ *(\d+), tx: *\d+, lsn: ([0-9A-F]+/[0-9A-F]+), prev \S+ desc: (\S+)(?: (\S+ \S+) )?`)
})

// Write never fails.
func (w *walScan) Write(p []byte) (int, error) {
	w.part = append(w.part, p...)
	for {
		line, rest, found := bytes.Cut(w.part, []byte{'\n'})
		if !found {
			w.part = append([]byte(nil), w.part...) // the scanned beginning is let go
			return len(p), nil
		}
		w.line(line)
		w.part = rest
	}
}

func (w *walScan) line(line []byte) {
	m := walRecord().FindSubmatch(line)
	if m == nil {
		return
	}
	at, err1 := node.ParseLSN(string(m[3]))
	length, err2 := strconv.ParseUint(string(m[2]), 10, 32)
	if err1 != nil || err2 != nil {
		return
	}
	w.end = at + node.LSN(length+7)&^7 // records are aligned (MAXALIGN)
	if string(m[1]) != "Transaction" || string(m[4]) != "COMMIT" && string(m[4]) != "COMMIT_PREPARED" {
		return
	}
	w.commits++
	// pg_waldump prints in the zone of TZ, which is UTC.
	if t, err := time.Parse("2006-01-02 15:04:05.999999", string(m[5])); err == nil {
		if w.first.IsZero() {
			w.first = t
		}
		w.last = t
	}
}
