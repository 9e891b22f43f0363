package main

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

//go:embed storm.pl
var storm string

// perSecond is how many orphans the storm makes, if the machine can.
const perSecond = 2000

// measureReaping lets orphans rain on our PID 1 and, for comparison, on
// docker's own init in front of the shell entrypoint: without one, postgres
// itself would be PID 1, and a backend's pid reaped by chance would end it.
func measureReaping(tb testbed.TB, t *table, ours, theirs side, o options) {
	a := reap(tb, ours, false, o)
	b := reap(tb, theirs, true, o)
	t.add("reaping: orphans made", a.rate(), b.rate()+" (with docker --init)", "", "2000/s")
	t.add("reaping: CPU of PID 1 for 10,000 orphans", a.per10000(), b.per10000(), ratio(a.cpuEach(), b.cpuEach()), "")
	t.add("reaping: most zombies seen at once", strconv.Itoa(a.most), strconv.Itoa(b.most), "", "")
	t.add("reaping: zombies left", strconv.Itoa(a.left), strconv.Itoa(b.left), "", "0")
}

// reaped is what a storm of orphans cost.
type reaped struct {
	orphans    int
	cpu, took  time.Duration
	most, left int
}

func (r reaped) rate() string { return fmt.Sprintf("%.0f/s", float64(r.orphans)/r.took.Seconds()) }

func (r reaped) cpuEach() float64 { return r.cpu.Seconds() / float64(r.orphans) }

func (r reaped) per10000() string { return fmt.Sprintf("%.2f s", 10000*r.cpuEach()) }

func reap(tb testbed.TB, s side, init bool, o options) reaped {
	progress("orphans for PID 1 of %s, %v", s.name, o.storm)
	spec := s.spec(testbed.NewVolume(tb))
	spec.Init = init
	spec.Files = []testbed.File{{Path: "/storm.pl", Data: storm}}
	c := testbed.Run(tb, spec)
	c.WaitReady(2 * time.Minute)
	stop := meter(tb, c)
	type ending struct {
		testbed.Result
		err error
	}
	ended := make(chan ending, 1)
	began := time.Now()
	go func() {
		r, err := c.TryDo(tb.Context(), testbed.Command{
			Args: []string{"perl", "/storm.pl", strconv.Itoa(perSecond), strconv.Itoa(int(o.storm.Seconds()))},
		})
		ended <- ending{r, err}
	}()
	var r reaped
	for {
		select {
		case e := <-ended:
			r.took = time.Since(began)
			n, err := strconv.Atoi(strings.TrimSpace(e.Stdout))
			if e.err != nil || err != nil || n == 0 {
				tb.Fatalf("the storm failed: %v: %s", e.err, e.Stderr)
			}
			time.Sleep(time.Second)
			r.orphans, r.cpu, r.left = n, stop().init, c.Zombies()
			c.Stop(time.Minute)
			c.Remove()
			return r
		case <-time.After(100 * time.Millisecond):
			r.most = max(r.most, c.Zombies())
		}
	}
}
