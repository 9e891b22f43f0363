package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Label is on every container, volume and network that the package makes; its
// value is the run that made it.
const Label = "pgbaton.testbed"

// runID names this process, so that its objects can be told from those of
// tests beside it: PID and start time.
var runID = fmt.Sprintf("%d-%d", os.Getpid(), startOf(os.Getpid()))

// startOf is the start time of a process, 0 when there is none.
func startOf(pid int) uint64 {
	var p Process
	if p.readStat(filepath.Join("/proc", strconv.Itoa(pid))) != nil {
		return 0
	}
	return p.Started
}

// over reports whether the process that a run names has ended. A name that
// cannot be read belongs to somebody else: not over.
func over(run string) bool {
	pid, start, ok := strings.Cut(run, "-")
	p, err1 := strconv.Atoi(pid)
	s, err2 := strconv.ParseUint(start, 10, 64)
	return ok && err1 == nil && err2 == nil && startOf(p) != s
}

// Sweep removes whatever killed tests left on this machine: containers,
// volumes and networks with Label, loop mounts, and faults of networks. Those of a test or program
// that still runs are spared. It returns what it removed.
func Sweep(ctx context.Context) ([]string, error) { return sweep(ctx, over) }

// owned is an object of the engine in one of its lists.
type owned struct {
	ID     string `json:"Id"`
	Name   string
	Names  []string
	Labels map[string]string
}

func (o owned) name() string {
	return strings.TrimPrefix(strings.Join(append(o.Names, o.Name), ""), "/")
}

// sweep removes the objects of the runs that are to go.
func sweep(ctx context.Context, goes func(run string) bool) ([]string, error) {
	docker, err := dockerEngine()
	if err != nil {
		return nil, err
	}
	filter, err := json.Marshal(map[string][]string{"label": {Label}})
	if err != nil {
		return nil, err
	}
	only := url.Values{"filters": {string(filter)}, "all": {"1"}}
	var containers, networks []owned
	var volumes struct{ Volumes []owned }
	if err := errors.Join(
		docker.call(ctx, http.MethodGet, "/containers/json", only, nil, &containers),
		docker.call(ctx, http.MethodGet, "/volumes", only, nil, &volumes),
		docker.call(ctx, http.MethodGet, "/networks", only, nil, &networks),
	); err != nil {
		return nil, fmt.Errorf("list what tests left: %w", err)
	}
	var gone []string
	var errs []error
	remove := func(kind string, all []owned, path func(owned) string, q url.Values) {
		for _, o := range all {
			if !goes(o.Labels[Label]) {
				continue
			}
			what := kind + " " + o.name()
			if err := docker.call(ctx, http.MethodDelete, path(o), q, nil, nil); err != nil && !notFound(err) {
				errs = append(errs, fmt.Errorf("remove %s: %w", what, err))
				continue
			}
			gone = append(gone, what)
		}
	}
	remove("container", containers, func(o owned) string { return "/containers/" + o.ID }, url.Values{"force": {"1"}, "v": {"1"}})
	remove("volume", volumes.Volumes, func(o owned) string { return "/volumes/" + o.Name }, nil)
	remove("network", networks, func(o owned) string { return "/networks/" + o.ID }, nil)
	loops, err := sweepLoops(goes)
	faults, err2 := sweepFaults(ctx, goes)
	return append(append(gone, loops...), faults...), errors.Join(append(errs, err, err2)...)
}

func sweepLoops(goes func(run string) bool) ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), loopPrefix+"*"))
	if err != nil {
		return nil, err
	}
	var gone []string
	var errs []error
	for _, dir := range dirs {
		if !goes(runOfLoop(dir)) {
			continue
		}
		err := unix.Unmount(filepath.Join(dir, "mnt"), 0)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", dir, err))
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			errs = append(errs, fmt.Errorf("remove %s: %w", dir, err))
			continue
		}
		gone = append(gone, "loop mount "+dir)
	}
	return gone, errors.Join(errs...)
}

// runOfLoop reads the run out of a loop's directory: prefix, run, random part.
func runOfLoop(dir string) string {
	name := strings.TrimPrefix(filepath.Base(dir), loopPrefix)
	return name[:max(0, strings.LastIndexByte(name, '-'))]
}
