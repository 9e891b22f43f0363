package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

const (
	tableWidth = 80
	labelWidth = 12
)

// printStatus prints the state of a node that knows of no other.
func printStatus(w io.Writer, st node.State, bold bool) error {
	return printFleet(w, nodeapi.Fleet{Node: st}, bold)
}

// printFleet prints a node's state for people: what it is first, what it does
// and why last, where the eye is. Times count up to the node's own clock.
func printFleet(w io.Writer, f nodeapi.Fleet, bold bool) error {
	var p sheet
	st := f.Node
	row := p.row
	row("verdict", verdictText(st.Verdict))
	row("node", join(st.Node, "pgbaton "+st.Version, since("up", st.Supervisor.Started, st.Time)))
	last := phaseText(st)
	if v := st.Verdict; st.Cluster != nil && v.Health != node.Well && v.Health != "" && st.Phase == node.Running {
		row("state", last) // it serves, and its cluster is not well: that counts more
		last = headed(string(v.Health), v.Since, st.Time, v.Why)
	}
	row("postgres", postgresText(st))
	row("clients", clientsText(st.Server))
	row("data", dataText(st))
	row("cluster", clusterText(st))
	row("role", roleText(f))
	row("statistics", statisticsText(st.Server))
	row("settings", pendingText(st.Server))
	row("upgrade", upgradeText(st))
	for _, k := range st.Kept {
		if st.Upgrade == nil || k.Path != st.Upgrade.Retired {
			row("old cluster", keptCluster(k))
		}
	}
	row("restarts", restartsText(st.Restarts, st.Time))
	for _, warning := range st.Warnings {
		row("warning", warning)
	}
	printNodes(&p, f)
	p.last(last, bold)
	_, err := io.WriteString(w, p.b.String())
	return err
}

// phaseText is what the node does, for how long, and why.
func phaseText(st node.State) string {
	head := string(st.Phase)
	if !st.Ready {
		head += ", not ready"
	}
	return headed(head, st.Since, st.Time, st.Why)
}

func headed(head string, from, now time.Time, why string) string {
	if d := since("for", from, now); d != "" {
		head += " " + d
	}
	return head + ": " + why
}

// verdictText is the judgement of the whole cluster.
func verdictText(v node.Verdict) string {
	if v.Health == "" { // a supervisor of before
		return ""
	}
	return string(v.Health) + ": " + v.Why
}

func postgresText(st node.State) string {
	if st.Postmaster == nil {
		if st.Halted {
			return "down by `pgbaton stop`"
		}
		return "down"
	}
	version, adopted := "", ""
	if st.Server != nil {
		version = st.Server.Version
	}
	if st.Postmaster.Adopted {
		adopted = "adopted"
	}
	return join(version, string(st.Role), fmt.Sprintf("port %d", st.Postmaster.Port),
		fmt.Sprintf("pid %d", st.Postmaster.PID), since("up", st.Postmaster.Started, st.Time), adopted)
}

func clientsText(s *node.Server) string {
	if s == nil {
		return ""
	}
	text := fmt.Sprintf("%d of %d connections", s.Connections, s.MaxConns)
	if s.Mismatch > 0 {
		text += fmt.Sprintf("; %d databases or collations of another collation version", s.Mismatch)
	}
	return text
}

// pendingText names the settings that wait for a restart.
func pendingText(s *node.Server) string {
	if s == nil || len(s.Pending) == 0 {
		return ""
	}
	changes := make([]string, len(s.Pending))
	for i, p := range s.Pending {
		changes[i] = fmt.Sprintf("%s %s → %s", p.Name, p.Now, p.Next)
	}
	return "for the next start: " + strings.Join(changes, ", ")
}

func dataText(st node.State) string {
	major := "empty"
	if st.Major > 0 {
		major = fmt.Sprintf("major %d", st.Major)
	}
	have := "no programs found"
	if len(st.Available) > 0 {
		have = "programs for " + strings.Trim(fmt.Sprint(st.Available), "[]")
	}
	return join(st.PGData, major, have)
}

func clusterText(st node.State) string {
	c := st.Control
	if c == nil {
		return ""
	}
	wal := "checkpoint at " + c.CheckpointLSN
	if st.Server != nil && st.Server.LSN != "" {
		wal = "WAL at " + st.Server.LSN
	}
	sums := "no data checksums"
	if c.Checksums {
		sums = ""
	}
	return join(fmt.Sprint(c.SystemIdentifier), fmt.Sprintf("timeline %d", nodeapi.TimelineOf(st)), c.State, wal, sums)
}

func restartsText(r node.Restarts, now time.Time) string {
	if r == (node.Restarts{}) {
		return ""
	}
	text := fmt.Sprintf("postgres %d, supervisor %d", r.Postgres, r.Supervisor)
	if r.LastExit != "" {
		text += "; postgres ended last: " + r.LastExit
	}
	if r.NextStart.After(now) {
		text += "; next start in " + span(r.NextStart.Sub(now))
	}
	return text
}

// join joins what is not empty with commas.
func join(parts ...string) string { return strings.Join(nonEmpty(parts...), ", ") }

// nonEmpty drops what is empty.
func nonEmpty(parts ...string) []string {
	kept := parts[:0:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return kept
}

// since says how long ago t was, or nothing where t is not known.
func since(word string, t, now time.Time) string {
	if t.IsZero() || now.Before(t) {
		return ""
	}
	return word + " " + span(now.Sub(t))
}

// span prints a duration with its two largest units: 45s, 3m 20s, 2h 5m, 4d 3h.
func span(d time.Duration) string {
	units := []struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.d {
			continue
		}
		text := fmt.Sprintf("%d%s", d/u.d, u.name)
		if i+1 < len(units) {
			if rest := d % u.d / units[i+1].d; rest > 0 {
				text += fmt.Sprintf(" %d%s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0s"
}

// wrap breaks text at spaces so that lines have at most width characters;
// indent goes before each but the first. A longer word gets a line of its own.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		n := len([]rune(word))
		switch {
		case used == 0:
		case used+1+n > width:
			b.WriteString("\n" + indent)
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}

func keptCluster(k node.Kept) string {
	until := "until"
	if !k.FinishAt.IsZero() {
		until = "until " + k.FinishAt.UTC().Format("2006-01-02 15:04 UTC") + " or"
	}
	return fmt.Sprintf("of PostgreSQL %d in %s, kept %s `pgbaton upgrade finish`", k.Major, k.Path, until)
}
