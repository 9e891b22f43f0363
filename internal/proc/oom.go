package proc

import (
	"os"
	"strconv"
	"strings"
)

const ownOOM = "/proc/self/oom_score_adj"

// OOMScore returns this process's oom_score_adj (proc_pid_oom_score_adj(5)).
func OOMScore() int {
	raw, err := os.ReadFile(ownOOM)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(raw)))
	return n
}

// MayLowerOOM reports whether this process may lower a score below its
// smallest value so far (CAP_SYS_RESOURCE), by trying it on itself.
func MayLowerOOM() bool {
	now := OOMScore()
	if now <= -1000 || os.WriteFile(ownOOM, []byte(strconv.Itoa(now-1)), 0) != nil {
		return false
	}
	_ = os.WriteFile(ownOOM, []byte(strconv.Itoa(now)), 0) // raising is always allowed
	return true
}

// SetOOM sets the score of the process.
func (p *Process) SetOOM(score int) error {
	return os.WriteFile("/proc/"+strconv.Itoa(p.PID)+"/oom_score_adj", []byte(strconv.Itoa(score)), 0)
}
