package main

import (
	"regexp"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// moment is the end of a part of a change of roles: a line in the log of the
// old primary or of the new one.
type moment struct {
	ends string // the part
	new  bool   // whose log
	line *regexp.Regexp
}

// stalled are the moments of a switchover, from the order to stop on.
var stalled = []moment{
	{"the server's sessions end", false, regexp.MustCompile(`LOG:  shutting down`)},
	{"it waits for its senders of WAL", false, regexp.MustCompile(`checkpoint starting: shutdown`)},
	{"its shutdown checkpoint", false, regexp.MustCompile(`LOG:  checkpoint complete`)},
	{"the supervisor sees it, and that the heir has it", false, regexp.MustCompile(`the right to open goes to .* do=release`)},
	{"release: role record and standby.signal durable", false, regexp.MustCompile(`msg="role: the right to open was given to`)},
	{"the heir hears of it", true, regexp.MustCompile(`gave the right to open to this node`)},
	{"its role record durable, promotion asked for", true, regexp.MustCompile(`LOG:  received promote request`)},
	{"promotion: up to the new timeline", true, regexp.MustCompile(`LOG:  selected new timeline ID`)},
	{"promotion: until recovery has ended", true, regexp.MustCompile(`LOG:  archive recovery complete`)},
	{"the supervisor sees it and takes the VIP", true, regexp.MustCompile(`msg="role: promoted"`)},
}

// died are those after a postmaster's death, which has no shutdown. The
// release is logged when it is decided, and again when it is carried out.
var died = append([]moment{
	{"the supervisor sees it", false, regexp.MustCompile(`msg="postgres ended by itself"`)},
	{"the other processes end", false, regexp.MustCompile(`postgres died here with all its processes.* phase=`)},
}, stalled[4:]...)

// told is the end of a handover's preparation, and the beginning of the stall.
var told = regexp.MustCompile(`msg="role: handing over to .* do="hand over"`)

// master is keepalived's own event on the node that inherits.
var master = regexp.MustCompile(`msg="role: keepalived says MASTER"`)

// logTime is that of a line of the supervisor's or of PostgreSQL's.
var logTime = regexp.MustCompile(`^(?:time=)?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d\.\d+)(?:Z| UTC)`)

// said is the time of the first line that fits and is not before a moment;
// zero: none.
func said(log string, line *regexp.Regexp, from time.Time) time.Time {
	from = from.Truncate(time.Millisecond) // logs tell no more
	for text := range strings.Lines(log) {
		m := logTime.FindStringSubmatch(text)
		if m == nil || !line.MatchString(text) {
			continue
		}
		at, err := time.Parse("2006-01-02 15:04:05.999999", m[1]+" "+m[2])
		if err == nil && !at.Before(from) {
			return at
		}
	}
	return time.Time{}
}

// cut cuts the time after a beginning into parts and returns the last moment.
// One that seems to be before its predecessor took no time; one that never
// came counts to the part after it, and is told.
func cut(moments []moment, old, next *testbed.Node, began time.Time) (parts []part, last time.Time) {
	logs := map[bool]string{false: old.LogsSince(began), true: next.LogsSince(began)}
	last = began
	for _, m := range moments {
		at := said(logs[m.new], m.line, began)
		if at.IsZero() {
			progress("  no line for %q: %v", m.ends, m.line)
			continue
		}
		if at.Before(last) {
			at = last
		}
		parts, last = append(parts, part{m.ends, at.Sub(last)}), at
	}
	return parts, last
}
