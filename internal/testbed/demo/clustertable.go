package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

// end compares every row of every chapter with what its clients were told.
func (s *clusterStory) end() {
	s.chapter("compare every acknowledged commit of every chapter with what the primary has now")
	p := s.c.WaitWhole(long)
	var wrong error
	for i := range s.seen {
		e := &s.seen[i]
		rep, err := e.load.Audit(s.tb.Context(), p.DB())
		s.must(err, "audit")
		e.rep = rep
		if err := rep.Err(); err != nil {
			wrong = fmt.Errorf("%s: %w", e.name, err)
		}
	}
	s.table()
	s.keep(p)
	s.must(wrong, "audit")
	s.kept()
}

// table prints what the clients of the VIP saw of each chapter.
func (s *clusterStory) table() {
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\n\tlongest write gap\tworst writer\tacknowledged\tfailed\tlost\tduplicated\t")
	for _, e := range s.seen {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t\n",
			e.name, milliseconds(e.seen.Gap), milliseconds(e.seen.WorstWriter), e.rep.Acked, e.rep.Failed, e.rep.Lost, e.rep.Duplicated)
	}
	tw.Flush()
	fmt.Println(`
Longest write gap: no client had a commit acknowledged. Worst writer: one of them
had none. Failed: transactions that ended in an error, to be tried again.`)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
