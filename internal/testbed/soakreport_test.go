package testbed

import (
	"testing"
	"time"
)

func TestTheReportOfASoakCountsWhatItWasTold(t *testing.T) {
	s := &SoakReport{Doubles: 3, Stuck: 1, Audits: []Report{
		{Stats: Stats{Acked: 100}, Beside: 20, Lost: 1}, {Stats: Stats{Acked: 7}, Duplicated: 2, Unknown: 4},
	}}
	for _, ms := range []int{300, 100, 400, 200} {
		s.Add("node killed", time.Duration(ms)*time.Millisecond)
	}
	s.Add("cut off", 5*time.Second)
	want := "5 rounds, 127 commits acknowledged: 1 lost, 2 duplicated, 4 unknown, 3 double primaries, 1 stuck\n" +
		"FAULT                    ROUNDS  MEDIAN OUTAGE  LONGEST OUTAGE\n" +
		"cut off                       1        5000 ms         5000 ms\n" +
		"node killed                   4         250 ms          400 ms\n"
	if got := s.String(); got != want {
		t.Errorf("the report is\n%swant\n%s", got, want)
	}
}
