package entrypoint

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/config"
)

// host is what was seen of the host and the volume.
type host struct {
	shm        uint64 // size of /dev/shm in bytes
	overcommit string // vm.overcommit_memory
	free       uint64 // bytes left on the volume
	inodes     uint64 // left on the volume
	allInodes  uint64 // 0 where the file system makes them as needed
	remote     string // name of a file system that is shared with other hosts
}

const (
	dockerShm   = 64 << 20
	fewInodes   = 10000
	hostLookGap = time.Minute
)

// warnings are what an operator should mend before it hurts, a sentence each.
func warnings(h host, diskWarn int64) []string {
	var w []string
	if h.shm > 0 && h.shm <= dockerShm {
		w = append(w, fmt.Sprintf("/dev/shm has %s, Docker's default: parallel queries fail when it is full. "+
			"Start the container with --shm-size=1g, or in Swarm with a tmpfs mount there", config.FormatSize(int64(h.shm))))
	}
	if h.overcommit != "" && h.overcommit != "2" {
		w = append(w, "vm.overcommit_memory is "+h.overcommit+": when memory runs out the kernel kills a process instead of refusing it memory. "+
			"PostgreSQL recommends 2 (sysctl on the host)")
	}
	if diskWarn > 0 && h.free < uint64(diskWarn) {
		w = append(w, fmt.Sprintf("the volume has %s left; postgres stops with a PANIC when the WAL finds no room", config.FormatSize(int64(h.free))))
	}
	if h.allInodes > 0 && h.inodes < fewInodes {
		w = append(w, fmt.Sprintf("the volume has %d inodes left", h.inodes))
	}
	if h.remote != "" {
		w = append(w, "the volume is on "+h.remote+": its locks and its fsync are only as good as its server, "+
			"and another host that uses it is not noticed")
	}
	return w
}

func lookAtHost(volume string) host {
	var h host
	var st unix.Statfs_t
	if unix.Statfs("/dev/shm", &st) == nil {
		h.shm = st.Blocks * uint64(st.Bsize)
	}
	if raw, err := os.ReadFile("/proc/sys/vm/overcommit_memory"); err == nil {
		h.overcommit = strings.TrimSpace(string(raw))
	}
	h.free, h.inodes, h.allInodes, _ = diskSpace(volume) // zero shows as "0 left", which is what it looks like
	h.remote = remoteName(volume)
	return h
}

// watchHost looks at the host now and every minute.
func (s *supervisor) watchHost() {
	for {
		s.post(func() {
			if s.volume == nil {
				return
			}
			w := warnings(lookAtHost(s.volume.place.volume), s.set.DiskWarn)
			for _, text := range w {
				if !slices.ContainsFunc(s.view.warnings, func(old string) bool { return kindOf(old) == kindOf(text) }) {
					s.log.Warn(text)
				}
			}
			s.view.warnings = w
		})
		time.Sleep(hostLookGap)
	}
}

// kindOf is what stays the same of a warning when its numbers change.
func kindOf(warning string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, warning)
}
