package testbed

import (
	"testing"
	"time"
)

func TestReignsAreCountedByWhoAcknowledgedAfterWhom(t *testing.T) {
	row := func(server, sent, end int) reignRow {
		return reignRow{server, time.Duration(sent), time.Duration(end)}
	}
	for name, c := range map[string]struct {
		rows []reignRow
		want int
	}{
		"nobody acknowledged":     {nil, 0},
		"one server":              {[]reignRow{row(1, 0, 1), row(1, 2, 3)}, 0},
		"a handover":              {[]reignRow{row(0, 0, 1), row(1, 2, 3), row(1, 4, 5)}, 1},
		"there and back":          {[]reignRow{row(0, 0, 1), row(1, 2, 3), row(0, 4, 5)}, 2},
		"an answer that was late": {[]reignRow{row(0, 0, 1), row(1, 4, 5), row(0, 2, 6), row(1, 7, 8)}, 1},
		"a row that waited for the new one to open": {[]reignRow{row(0, 0, 9), row(1, 1, 10), row(1, 11, 12)}, 1},
		"two at once":              {[]reignRow{row(0, 0, 1), row(1, 2, 3), row(0, 4, 5), row(1, 6, 7), row(0, 8, 9), row(1, 10, 11)}, 5},
		"two at once, in no order": {[]reignRow{row(1, 6, 7), row(0, 0, 1), row(0, 4, 5), row(1, 2, 3)}, 3},
	} {
		if got := reigns(c.rows); got != c.want {
			t.Errorf("%s: %d changes, want %d", name, got, c.want)
		}
	}
}
