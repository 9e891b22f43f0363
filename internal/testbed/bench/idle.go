package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// measureIdle watches two nodes that have nothing to do: one waits for a
// marker, the other is told not to (PGBATON_UPGRADE=off).
func measureIdle(tb testbed.TB, t *table, o upgradeOptions) {
	if o.idleWatch <= 0 {
		return
	}
	progress("two idle nodes, %v", o.idleWatch)
	policies := []string{"marker", "off"}
	var nodes []*testbed.Container
	for _, policy := range policies {
		c := testbed.Run(tb, ourSpec(o, testbed.NewVolume(tb), policy))
		c.WaitReady(long)
		nodes = append(nodes, c)
	}
	time.Sleep(15 * time.Second) // what follows a start is over
	began := time.Now()
	var before, used [2]usage
	for i, c := range nodes {
		before[i] = usageOf(tb, c)
	}
	time.Sleep(o.idleWatch)
	for i, c := range nodes {
		used[i] = usageOf(tb, c).since(before[i])
		c.Remove()
	}
	over := time.Since(began)
	on, off := used[0], used[1]
	t.add("idle, waiting for a marker, beside PGBATON_UPGRADE=off", "", "", "", "")
	t.add("  CPU of init and supervisor with its children, of one core", percent(on.cpu, over), percent(off.cpu, over), "", "about 0")
	t.add(fmt.Sprintf("  disk, read / written in %.0f s", over.Seconds()), on.disk(), off.disk(), "", "0 / 0")
}

// usage is what processes took of the machine.
type usage struct {
	cpu           time.Duration
	read, written int64 // bytes, from and to disks
	blind         bool  // only root may see the bytes
}

func (u usage) since(before usage) usage {
	return usage{u.cpu - before.cpu, u.read - before.read, u.written - before.written, u.blind || before.blind}
}

func (u usage) disk() string {
	if u.blind {
		return "run as root to see"
	}
	return fmt.Sprintf("%d kB / %d kB", u.read>>10, u.written>>10)
}

// usageOf sums up init and supervisor, with those of their children that were
// waited for: proc_pid_stat(5), proc_pid_io(5). The postmaster is not among
// them as long as it runs.
func usageOf(tb testbed.TB, c *testbed.Container) usage {
	init, supervisor := firstTwo(tb, c)
	var u usage
	for _, p := range []testbed.Process{init, supervisor} {
		dir := "/proc/" + strconv.Itoa(p.HostPID)
		text, err := os.ReadFile(dir + "/stat")
		if err != nil {
			tb.Fatalf("read the times of a process: %v", err)
		}
		stat := string(text)
		f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		const user, last, tick = 14 - 3, 17 - 3, 10 * time.Millisecond // utime, stime, cutime, cstime
		for i := user; i <= last && i < len(f); i++ {
			n, _ := strconv.ParseInt(f[i], 10, 64)
			u.cpu += time.Duration(n) * tick
		}
		io, err := os.ReadFile(dir + "/io")
		u.blind = u.blind || err != nil
		for line := range strings.Lines(string(io)) {
			key, value, _ := strings.Cut(line, ":")
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			switch key {
			case "read_bytes":
				u.read += n
			case "write_bytes":
				u.written += n
			}
		}
	}
	return u
}
