package testbed

import (
	"cmp"
	"slices"
	"time"
)

// Reigns is how often the server that acknowledges commits became another one,
// by what the writers on the nodes' own addresses were told. Where one at a
// time acknowledges, that is no more often than nodes were promoted: of two that
// acknowledge at once, each row takes over from the one before.
func (r *Running) Reigns() int {
	var rows []reignRow
	for server, l := range r.beside {
		rows = append(rows, l.reignRows(server)...)
	}
	return reigns(rows)
}

// reignRow is a row that a server acknowledged.
type reignRow struct {
	server    int
	sent, end time.Duration
}

func (l *ledger) reignRows(server int) (rows []reignRow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.out == acked {
			rows = append(rows, reignRow{server, e.sent, e.end})
		}
	}
	return rows
}

// reigns counts a row as the beginning of another reign only where it was sent
// after the reign's last answer: of two that were under way at the same time
// nobody knows which was committed first.
func reigns(rows []reignRow) (changes int) {
	slices.SortFunc(rows, func(a, b reignRow) int { return cmp.Compare(a.end, b.end) })
	for i, last := 0, -1; i < len(rows); i++ {
		switch {
		case last < 0 || rows[i].server == rows[last].server:
			last = i
		case rows[i].sent >= rows[last].end:
			changes++
			last = i
		}
	}
	return changes
}
