package testbed

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// TestAuditFindsWhatIsPlanted plants every kind of damage: an audit that
// cannot fail proves nothing.
func TestAuditFindsWhatIsPlanted(t *testing.T) {
	type row struct{ writer, n int64 }
	whole := []row{{0, 0}, {0, 1}, {1, 0}}
	tests := []struct {
		name                               string
		rows                               []row
		lost, duplicated, unknown, inDoubt int
		says                               string
	}{
		{name: "every acknowledged row once is fine", rows: whole},
		{name: "a row in doubt may be there", rows: append(whole, row{0, 2}), inDoubt: 1},
		{name: "an acknowledged row is missing", rows: whole[1:], lost: 1, says: "row (0, 0) was acknowledged and is lost"},
		{name: "everything is missing", lost: 3, says: "is lost"},
		{name: "an acknowledged row is there twice", rows: append(whole, row{0, 1}), duplicated: 1, says: "row (0, 1) is there 2 times"},
		{name: "a row in doubt is there twice", rows: append(whole, row{0, 2}, row{0, 2}), duplicated: 1, says: "row (0, 2) is there 2 times"},
		{name: "a rolled back row is there", rows: append(whole, row{1, 1}), unknown: 1, says: "row (1, 1) was reported as rolled back and is there"},
		{name: "a row beyond the last one is there", rows: append(whole, row{1, 2}), unknown: 1, says: "row (1, 2) was never sent"},
		{name: "a row of no writer is there", rows: append(whole, row{2, 0}), unknown: 1, says: "row (2, 0) was never sent"},
		{name: "a negative row is there", rows: append(whole, row{0, -1}, row{-1, 0}), unknown: 2, says: "row (0, -1) was never sent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tl := newTally([]*ledger{
				{entries: []entry{{end: 1, out: acked}, {end: 2, out: acked}, {end: 3, out: inDoubt}}},
				{entries: []entry{{end: 1, out: acked}, {end: 2, out: failed}}},
			})
			for _, r := range tt.rows {
				tl.saw(r.writer, r.n)
			}
			var rep Report
			tl.judge(&rep)
			got := []int{rep.Lost, rep.Duplicated, rep.Unknown, rep.InDoubtFound}
			want := []int{tt.lost, tt.duplicated, tt.unknown, tt.inDoubt}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("lost, duplicated, unknown, in doubt = %v, want %v", got, want)
			}
			bad := tt.says != ""
			if rep.OK() == bad || (rep.Err() != nil) != bad {
				t.Errorf("OK = %v, Err = %v", rep.OK(), rep.Err())
			}
			if bad && !strings.Contains(rep.Err().Error(), tt.says) {
				t.Errorf("Err = %v, want it to say %q", rep.Err(), tt.says)
			}
		})
	}
}

func TestOnlyAnOrdinaryErrorProvesARollback(t *testing.T) {
	says := func(severity, code string) error {
		return &pq.Error{Severity: severity, Code: pqerror.Code(code)}
	}
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"an ordinary error", says("ERROR", "25006"), true},
		{"the same, wrapped", fmt.Errorf("insert: %w", says("ERROR", "25006")), true},
		{"the end of the backend", says("FATAL", "57P01"), false},
		{"a panic", says("PANIC", "XX000"), false},
		{"a severity in another language", says("FEHLER", "25006"), false},
		{"an error about the connection", says("ERROR", "08006"), false},
		{"an error because the server ends", says("ERROR", "57P02"), false},
		{"a connection that broke", io.ErrUnexpectedEOF, false},
		{"a statement that was never sent", fmt.Errorf("%w: %w", errNotSent, errors.New("cancelled")), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := rolledBack(tt.err); got != tt.want {
				t.Errorf("rolledBack(%v) = %v, want %v", tt.err, got, tt.want)
			}
		})
	}
}
