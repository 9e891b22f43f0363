package pg

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrPidFile is wrapped where postmaster.pid exists without a process id in
// its first line: empty after a power failure, or not PostgreSQL's.
var ErrPidFile = errors.New("postmaster.pid holds no process id")

// PidFile is postmaster.pid (src/include/utils/pidfile.h). The postmaster
// writes it line by line while it starts: what is not there yet is zero.
type PidFile struct {
	PID        int       // of the postmaster; of a standalone backend where Standalone
	Standalone bool      // postgres --single: its pid is written negative
	DataDir    string    //
	Started    time.Time // in whole seconds
	Port       int
	SocketDir  string // first of unix_socket_directories; empty where there is none
	Listen     string // first address of listen_addresses, "*" included; empty where TCP is off
	ShmKey     string // key and id of the shared memory segment, as written
	Status     string // starting, stopping, ready, standby; empty in the first moments
}

// Ready reports whether connections are accepted. "standby" is a server that
// has reached consistency with hot_standby off: started, but nobody gets in.
func (p PidFile) Ready() bool { return p.Status == "ready" }

// ReadPidFile reads postmaster.pid. The error is fs.ErrNotExist, ErrPidFile or
// the system's. It says nothing about whether that process lives.
func ReadPidFile(dir string) (PidFile, error) {
	path := filepath.Join(dir, "postmaster.pid")
	raw, err := readRegular(path, 16<<10)
	if err != nil {
		return PidFile{}, fmt.Errorf("read pid file: %w", err)
	}
	p, err := parsePidFile(string(raw))
	if err != nil {
		return PidFile{}, fmt.Errorf("read %s: %w", path, err)
	}
	return p, nil
}

func parsePidFile(text string) (PidFile, error) {
	lines := strings.Split(text, "\n")
	// The part after the last newline is not whole yet; of the first line
	// PostgreSQL itself (CreateLockFile, miscinit.c) reads what is there.
	if len(lines) > 1 {
		lines = lines[:len(lines)-1]
	}
	line := func(n int) string {
		if n > len(lines) {
			return ""
		}
		return lines[n-1]
	}
	pid, err := strconv.ParseInt(strings.TrimSpace(line(1)), 10, 32)
	if err != nil || pid == 0 {
		return PidFile{}, fmt.Errorf("%w: %.20q", ErrPidFile, line(1))
	}
	p := PidFile{
		PID: int(max(pid, -pid)), Standalone: pid < 0,
		DataDir: line(2), SocketDir: line(5), Listen: line(6),
		ShmKey: strings.TrimSpace(line(7)), Status: strings.TrimSpace(line(8)),
	}
	if sec, err := strconv.ParseInt(line(3), 10, 64); err == nil && sec > 0 {
		p.Started = time.Unix(sec, 0)
	}
	if port, err := strconv.ParseUint(line(4), 10, 16); err == nil {
		p.Port = int(port)
	}
	return p, nil
}
