package nodeapi

import (
	"strconv"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// maxAge is how old the latest snapshot may be while the supervisor counts as
// alive: its loop looks again every second or so.
const maxAge = 30 * time.Second

// check is one question that a health path asks.
type check func(st node.State, now time.Time) bool

// checks are Patroni's health paths; a path answers 200 when its question is
// true, else 503.
var checks = map[string]check{
	"/":           isPrimary,
	"/primary":    isPrimary,
	"/master":     isPrimary,
	"/leader":     isPrimary,
	"/read-write": isPrimary,
	"/replica":    isStandby,
	"/read-only": func(st node.State, now time.Time) bool {
		return isOpen(st) || isStandby(st, now)
	},
	"/health":    func(st node.State, _ time.Time) bool { return st.Phase == node.Running },
	"/readiness": func(st node.State, _ time.Time) bool { return st.Ready },
	"/liveness":  isAlive,
}

// isPrimary: clients can write.
func isPrimary(st node.State, _ time.Time) bool {
	return isOpen(st) && (st.Cluster == nil || st.Cluster.CommitsWait == nil || !st.Cluster.CommitsWait.TooLong)
}

// isOpen: a primary in a cluster may run and not let clients in.
func isOpen(st node.State) bool {
	return st.Phase == node.Running && st.Role == node.Primary && (st.Cluster == nil || st.Cluster.Open)
}

func isStandby(st node.State, _ time.Time) bool {
	return st.Phase == node.Running && st.Role == node.Standby
}

// isAlive compares times of one process, so the monotonic clock counts and a
// jump of the wall clock does not get a container killed.
func isAlive(st node.State, now time.Time) bool {
	return now.Sub(st.Time) <= maxAge
}

// health is the body of a health path: the shape of Patroni's, so that what
// reads that can read this.
type health struct {
	State      node.Phase `json:"state"`
	Why        string     `json:"why,omitempty"`
	Started    *time.Time `json:"postmaster_start_time,omitempty"`
	Role       string     `json:"role,omitempty"`
	ServerVers int        `json:"server_version,omitempty"` // as server_version_num
	Timeline   uint32     `json:"timeline,omitempty"`
	Xlog       *xlog      `json:"xlog,omitempty"`
	SystemID   string     `json:"database_system_identifier,omitempty"`
	Streaming  string     `json:"replication_state,omitempty"` // "streaming", of a standby
	Ready      bool       `json:"ready"`
	Verdict    string     `json:"verdict,omitempty"` // on the whole cluster: well, degraded, down
	Self       self       `json:"pgbaton"`
}

// xlog gives WAL positions as bytes from the beginning of the WAL.
type xlog struct {
	Location uint64 `json:"location,omitempty"`          // write position of a primary
	Received uint64 `json:"received_location,omitempty"` // end of a standby's WAL
	Replayed uint64 `json:"replayed_location,omitempty"` // replay position of a standby
}

type self struct {
	Version string `json:"version"`
	Name    string `json:"name"`
}

func healthOf(st node.State) health {
	h := health{
		State: st.Phase, Why: st.Why, Ready: st.Ready, Role: patroniRole(st.Role),
		Self: self{Version: st.Version, Name: st.Node}, Verdict: string(st.Verdict.Health),
	}
	if st.Postmaster != nil {
		h.Started = &st.Postmaster.Started
	}
	if st.Control != nil {
		h.Timeline = TimelineOf(st)
		h.SystemID = strconv.FormatUint(st.Control.SystemIdentifier, 10)
	}
	if st.Server != nil {
		h.ServerVers = versionNum(st.Server.Version)
		h.Xlog = positions(st.Role, st.Server.LSN)
	}
	if st.Cluster != nil && st.Role == node.Standby {
		if st.Cluster.Streaming {
			h.Streaming = "streaming"
		}
		if h.Xlog != nil {
			h.Xlog.Received = uint64(st.Cluster.Received)
		}
	}
	return h
}

// patroniRole is Patroni's word for a role: its readers look for "replica".
func patroniRole(r node.Role) string {
	if r == node.Standby {
		return "replica"
	}
	return string(r)
}

func positions(r node.Role, lsn string) *xlog {
	n, err := node.ParseLSN(lsn)
	switch {
	case err != nil:
		return nil
	case r == node.Standby:
		return &xlog{Replayed: uint64(n)}
	default:
		return &xlog{Location: uint64(n)}
	}
}

// versionNum turns server_version ("17.2 (Debian 17.2-1)", "18beta1") into
// server_version_num (170002, 180000); 0 when it is not understood.
func versionNum(v string) int {
	major, rest := leadingInt(v)
	if major == 0 {
		return 0
	}
	minor := 0
	if strings.HasPrefix(rest, ".") {
		minor, _ = leadingInt(rest[1:])
	}
	return major*10000 + minor
}

func leadingInt(s string) (n int, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	n, _ = strconv.Atoi(s[:end])
	return n, s[end:]
}
