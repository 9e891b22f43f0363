package testbed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"
)

// Querier is what an audit reads with: *sql.DB, *sql.Conn or *sql.Tx.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Report is what an audit found: the load's numbers over its whole life, and
// what of its rows the server has.
type Report struct {
	Stats
	Lost         int // acknowledged, and not there
	Duplicated   int // there more than once
	Unknown      int // there, though never sent or reported as rolled back
	InDoubtFound int // in doubt, and there: neither good nor bad
	Beside       int // acknowledged to the writers of Load.Beside; their rows count in these four and in InDoubt

	Samples []string // the first few offenders
}

// OK reports whether the server has every acknowledged row exactly once, each
// row in doubt at most once, and no other.
func (r Report) OK() bool { return r.Lost == 0 && r.Duplicated == 0 && r.Unknown == 0 }

// Err is nil when the report is OK, and names the offenders otherwise.
func (r Report) Err() error {
	if r.OK() {
		return nil
	}
	return fmt.Errorf("audit: %s: %s", r, strings.Join(r.Samples, "; "))
}

func (r Report) String() string {
	return fmt.Sprintf("%d acknowledged%s, %d lost, %d duplicated, %d unknown; %d in doubt (%d of them there), %d failed, %d refused connects; longest write gap %s, worst writer %s, %.0f commits/s",
		r.Acked, r.beside(), r.Lost, r.Duplicated, r.Unknown, r.InDoubt, r.InDoubtFound, r.Failed, r.Refused, ms(r.Gap), ms(r.WorstWriter), r.Rate())
}

func (r Report) beside() string {
	if r.Beside == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d on the nodes' own addresses)", r.Beside)
}

// Audit compares every row that the load tried with what the server has. The
// load has to have ended.
func (r *Running) Audit(ctx context.Context, db Querier) (Report, error) {
	select {
	case <-r.stop:
	default:
		if r.load.Commits == 0 {
			return Report{}, errors.New("audit: the load still runs; stop it first")
		}
	}
	rep := Report{Stats: r.Wait()}
	t := newTally(slices.Concat(r.ledgers, r.beside))
	for _, l := range r.beside {
		s := summarize([]*ledger{l}, 0, l.done)
		rep.Beside += s.Acked
		rep.InDoubt += s.InDoubt
	}
	rows, err := db.QueryContext(ctx, "select writer, n from "+pq.QuoteIdentifier(r.load.Table))
	if err != nil {
		return rep, fmt.Errorf("audit: read the rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var writer, n int64
		if err := rows.Scan(&writer, &n); err != nil {
			return rep, fmt.Errorf("audit: read a row: %w", err)
		}
		t.saw(writer, n)
	}
	if err := rows.Err(); err != nil {
		return rep, fmt.Errorf("audit: read the rows: %w", err)
	}
	t.judge(&rep)
	return rep, nil
}

// enoughSamples is how many offenders a report names.
const enoughSamples = 10

// tally counts how often each row was found.
type tally struct {
	ledgers []*ledger
	found   [][]uint16
	strange []string
	unknown int
}

func newTally(ledgers []*ledger) *tally {
	t := &tally{ledgers: ledgers}
	for _, l := range ledgers {
		t.found = append(t.found, make([]uint16, len(l.entries)))
	}
	return t
}

// saw notes a row that the server has.
func (t *tally) saw(writer, n int64) {
	if writer < 0 || writer >= int64(len(t.found)) || n < 0 || n >= int64(len(t.found[writer])) {
		t.unknown++
		if len(t.strange) < enoughSamples {
			t.strange = append(t.strange, fmt.Sprintf("row (%d, %d) was never sent", writer, n))
		}
		return
	}
	if t.found[writer][n] < ^uint16(0) {
		t.found[writer][n]++
	}
}

// judge writes the verdict into the report.
func (t *tally) judge(rep *Report) {
	rep.Unknown = t.unknown
	for _, s := range t.strange {
		rep.sample(s)
	}
	for writer, counts := range t.found {
		for n, times := range counts {
			rep.judge(writer, n, times, t.ledgers[writer].entries[n])
		}
	}
}

// judge is the rule for one row.
func (r *Report) judge(writer, n int, times uint16, e entry) {
	what := ""
	switch {
	case times == 0 && e.out == acked:
		r.Lost++
		what = "was acknowledged and is lost"
	case times > 0 && e.out == failed:
		r.Unknown++
		what = "was reported as rolled back and is there"
	case times > 1:
		r.Duplicated++
		what = fmt.Sprintf("is there %d times", times)
	case times == 1 && e.out == inDoubt:
		r.InDoubtFound++
	}
	if what != "" {
		r.sample(fmt.Sprintf("row (%d, %d) %s (answered %.3f s after the start)", writer, n, what, e.end.Seconds()))
	}
}

func (r *Report) sample(s string) {
	if len(r.Samples) < enoughSamples {
		r.Samples = append(r.Samples, s)
	}
}
