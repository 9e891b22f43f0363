package vrrp

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// program is keepalived's name in PATH.
const program = "keepalived"

// ErrUnable is inside the errors of Able.
var ErrUnable = errors.New("keepalived cannot run here")

// Able says what is missing for a keepalived inside this container: the
// program, NET_ADMIN (addresses), NET_RAW (VRRP's own protocol). Without
// NET_ADMIN keepalived would log it and still say MASTER.
func Able(env []string) error {
	if _, err := proc.Find(program, env); err != nil {
		return fmt.Errorf("%w: it is not installed (%w); postgres runs on without the virtual address\n"+
			"hint: use an image that has it, or run it on the host: `pgbaton notify config --placement host`", ErrUnable, err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if missing := missingCapabilities(string(status)); len(missing) > 0 {
		return fmt.Errorf("%w: the container lacks %s; postgres runs on without the virtual address\n"+
			"hint: give the container cap_add: [NET_ADMIN, NET_RAW], and let it run as root", ErrUnable, strings.Join(missing, " and "))
	}
	return nil
}

// missingCapabilities reads the line CapEff of /proc/PID/status.
func missingCapabilities(status string) []string {
	var effective uint64
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "CapEff:"); ok {
			effective, _ = strconv.ParseUint(strings.TrimSpace(rest), 16, 64) // unreadable: none
		}
	}
	var missing []string
	for _, c := range []struct {
		bit  int
		name string
	}{{unix.CAP_NET_ADMIN, "NET_ADMIN"}, {unix.CAP_NET_RAW, "NET_RAW"}} {
		if effective&(1<<c.bit) == 0 {
			missing = append(missing, c.name)
		}
	}
	return missing
}
