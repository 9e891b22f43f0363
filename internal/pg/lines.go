package pg

import (
	"bytes"
	"strings"
)

// maxPrinted is how much of a program's output is kept for its error.
const maxPrinted = 8 << 10

// lineWriter hands a program's output on as lines. A line that was begun and
// not ended is handed on too, at once and again when it is whole: pg_upgrade
// prints what it does, and "ok" when it is done.
type lineWriter struct {
	line    func(string)
	part    []byte // of a line without its end
	printed []byte // the last of all lines
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.part = append(w.part, p...)
	for {
		i := bytes.IndexAny(w.part, "\n\r")
		if i < 0 {
			break
		}
		w.whole(string(w.part[:i]))
		w.part = w.part[i+1:]
	}
	if len(w.part) > maxPrinted { // garbage without an end
		w.end()
	}
	w.tell(string(w.part))
	return len(p), nil
}

// end takes what is left as a line.
func (w *lineWriter) end() {
	if len(w.part) > 0 {
		w.whole(string(w.part))
		w.part = nil
	}
}

func (w *lineWriter) whole(s string) {
	w.printed = append(w.printed, strings.TrimRight(s, " ")+"\n"...)
	if len(w.printed) > 2*maxPrinted {
		w.printed = append(w.printed[:0], w.printed[len(w.printed)-maxPrinted:]...)
	}
	w.tell(s)
}

func (w *lineWriter) tell(s string) {
	if s = strings.Join(strings.Fields(s), " "); s != "" && w.line != nil {
		w.line(s)
	}
}

// failure is the end of what was printed, from the last check that did not end
// with ok.
func (w *lineWriter) failure() string {
	lines := strings.Split(strings.TrimSpace(string(w.printed)), "\n")
	from := 0
	for i, l := range lines {
		if strings.HasSuffix(l, " ok") {
			from = i + 1
		}
	}
	return lastPrinted(strings.TrimSpace(strings.Join(lines[from:], "\n")), 3000)
}

func lastPrinted(s string, limit int) string {
	if len(s) > limit {
		s = "…" + strings.ToValidUTF8(s[len(s)-limit:], "")
	}
	return s
}
