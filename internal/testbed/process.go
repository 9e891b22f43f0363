package testbed

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Process is one process of a container, seen from the host: looking costs
// the container nothing and works while nothing in it answers.
type Process struct {
	HostPID int           // in this test's PID namespace
	PID     int           // in the container's
	PPID    int           // in the container's; 0 for PID 1 and for what docker exec started
	Comm    string        // name of the program, at most 15 bytes
	Cmdline []string      // empty for a zombie
	State   byte          // R, S, D, T, Z, …
	UID     int           // effective
	RssAnon int64         // bytes of anonymous memory
	Rss     int64         // bytes of all resident memory
	CPU     time.Duration // user and system, in steps of 10 ms
	Started uint64        // clock ticks since boot

	hostPPID int
}

func (p Process) String() string {
	name := strings.Join(p.Cmdline, " ")
	if name == "" {
		name = "[" + p.Comm + "]"
	}
	return fmt.Sprintf("%5d %5d %c %5d %6.1f MB  %s", p.PID, p.PPID, p.State, p.UID, float64(p.RssAnon)/(1<<20), name)
}

// Zombie reports whether the process is dead and not yet reaped.
func (p Process) Zombie() bool { return p.State == 'Z' }

// Supervisor returns pgbaton's supervisor.
func (c *Container) Supervisor() (Process, bool) {
	c.tb.Helper()
	return c.Find(func(p Process) bool {
		return p.PPID == 1 && !p.Zombie() && len(p.Cmdline) > 1 && p.Cmdline[1] == "supervise"
	})
}

// Postmaster returns PostgreSQL's first process: of the servers that run, the
// oldest.
func (c *Container) Postmaster() (Process, bool) {
	c.tb.Helper()
	all := c.Processes()
	servers := map[int]bool{}
	for _, p := range all {
		// `postgres --version`, by which the supervisor sees whether programs
		// run, has the name of a server and is none.
		servers[p.PID] = p.Comm == "postgres" && !slices.Contains(p.Cmdline, "--version")
	}
	var oldest Process
	for _, p := range all {
		// One that is just beginning, or has just ended, has no words yet, or any
		// more: it may be such a look.
		runs := servers[p.PID] && !p.Zombie() && len(p.Cmdline) > 0
		if runs && !servers[p.PPID] && (oldest.PID == 0 || p.Started < oldest.Started) {
			oldest = p
		}
	}
	return oldest, oldest.PID != 0
}

// Zombies counts the dead that nobody has reaped.
func (c *Container) Zombies() int {
	c.tb.Helper()
	n := 0
	for _, p := range c.Processes() {
		if p.Zombie() {
			n++
		}
	}
	return n
}

// Find returns the first process, in order of PIDs, that fits.
func (c *Container) Find(fits func(Process) bool) (Process, bool) {
	c.tb.Helper()
	all := c.Processes()
	if i := slices.IndexFunc(all, fits); i >= 0 {
		return all[i], true
	}
	return Process{}, false
}

// Processes lists the container's processes in order of their PIDs there.
func (c *Container) Processes() []Process {
	c.tb.Helper()
	all, err := processesOf(c.ID)
	c.must(err, "list the processes of")
	return all
}

// processesOf finds them by their control group, which any user may read. The
// kernel may show a zombie without its group, so a zombie belongs to the
// container of its parent.
func processesOf(id string) ([]Process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found, zombies []Process
	pids := map[int]int{} // host PID → PID
	for _, dir := range dirs {
		p, nested, err := readProcess(dir)
		if err != nil || !nested { // gone meanwhile, or one of the host's
			continue
		}
		group, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		switch {
		case strings.Contains(string(group), id):
			found = append(found, p)
			pids[p.HostPID] = p.PID
		case p.Zombie():
			zombies = append(zombies, p)
		}
	}
	for _, p := range zombies {
		if pids[p.hostPPID] != 0 {
			found = append(found, p)
		}
	}
	for i := range found {
		found[i].PPID = pids[found[i].hostPPID]
	}
	slices.SortFunc(found, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
	return found, nil
}

// readProcess reads /proc/PID; nested tells whether the process lives in a
// PID namespace below this one.
func readProcess(dir string) (p Process, nested bool, err error) {
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return p, false, err
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		f := strings.Fields(value)
		if len(f) == 0 {
			continue
		}
		switch key {
		case "Name":
			p.Comm = strings.TrimSpace(value)
		case "State":
			p.State = f[0][0]
		case "PPid":
			p.hostPPID, _ = strconv.Atoi(f[0])
		case "Uid":
			p.UID, _ = strconv.Atoi(f[1])
		case "NSpid":
			nested = len(f) > 1
			p.HostPID, _ = strconv.Atoi(f[0])
			p.PID, _ = strconv.Atoi(f[len(f)-1])
		case "VmRSS":
			p.Rss = kilobytes(f[0])
		case "RssAnon":
			p.RssAnon = kilobytes(f[0])
		}
	}
	if !nested {
		return p, false, nil
	}
	cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	if s := strings.TrimRight(string(cmdline), "\x00"); s != "" {
		p.Cmdline = strings.Split(s, "\x00")
	}
	return p, true, p.readStat(dir)
}

// readStat reads the times; the fields are those of proc_pid_stat(5), counted
// from behind the name, which may hold spaces and parentheses.
func (p *Process) readStat(dir string) error {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return err
	}
	s := string(stat)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	const user, system, start, tick = 14 - 3, 15 - 3, 22 - 3, 10 * time.Millisecond
	if len(f) <= start {
		return fmt.Errorf("read %s/stat: too short", dir)
	}
	u, _ := strconv.ParseInt(f[user], 10, 64)
	k, _ := strconv.ParseInt(f[system], 10, 64)
	p.CPU = time.Duration(u+k) * tick
	p.Started, err = strconv.ParseUint(f[start], 10, 64)
	return err
}

func kilobytes(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n << 10
}
