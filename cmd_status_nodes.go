package main

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// maxShown is how much of a node's name the table of nodes shows.
const maxShown = 14

// printNodes adds a line for each node, and what is to lose. A node alone has
// neither.
func printNodes(p *sheet, f nodeapi.Fleet) {
	c := f.Node.Cluster
	if c == nil {
		return
	}
	if c.Why != "" {
		p.row("because", c.Why)
	}
	p.row("risk", c.Loses)
	silent := map[string]bool{}
	for _, peer := range c.Peers {
		if peer.Error == "" {
			continue
		}
		silent[peer.Node] = true
		text := peer.Error
		if !strings.Contains(text, peer.Address) {
			text = peer.Address + ": " + text
		}
		p.row("peer", text)
	}
	p.b.WriteString("\n")
	tw := tabwriter.NewWriter(&p.b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NODE\tROLE\tSTATE\tTIMELINE\tLAG\tVIP\tPG\tSEEN")
	fmt.Fprintln(tw, nodeLine(f, f.Node, "here"))
	for _, st := range f.Peers {
		if silent[st.Node] {
			st.Phase = "silent" // what it said last is no news of what it does
		}
		fmt.Fprintln(tw, nodeLine(f, st, seenText(f, st.Node)))
	}
	for _, peer := range c.Peers {
		if peer.Node == "" && peer.Error != "" {
			fmt.Fprintf(tw, "%s\t?\t?\t?\t?\t?\t?\tnever\n", shorten(peer.Address))
		}
	}
	_ = tw.Flush() // it writes into memory
}

// nodeLine is one line of the table of nodes.
func nodeLine(f nodeapi.Fleet, st node.State, seen string) string {
	vip := "-"
	if c := st.Cluster; c != nil && c.VIP {
		vip = "here"
	} else if c != nil && c.Eligible {
		vip = "may"
	}
	major, timeline := "-", "-"
	if st.Major > 0 {
		major = fmt.Sprint(st.Major)
	}
	if t := nodeapi.TimelineOf(st); t > 0 {
		timeline = fmt.Sprint(t)
	}
	return strings.Join([]string{shorten(st.Node), placeText(st), string(st.Phase), timeline, lagText(f, st), vip, major, seen}, "\t")
}

// lagText is how far a standby is behind.
func lagText(f nodeapi.Fleet, st node.State) string {
	if st.Role != node.Standby {
		return "-"
	}
	lag, known := f.Lag(st)
	if !known {
		return "?"
	}
	if behind, known := f.LagTime(st); known {
		return sizeText(lag) + ", " + lagTimeText(behind)
	}
	return sizeText(lag)
}

// lagTimeText prints how far a standby is behind in time, in few characters.
func lagTimeText(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	text, _, _ := strings.Cut(span(d), " ")
	return text
}

// sizeText prints bytes, large numbers in PostgreSQL's units.
func sizeText(bytes uint64) string {
	bytes = min(bytes, 1<<62)
	unit := uint64(1)
	for unit < 1<<40 && bytes/unit >= 10<<10 {
		unit <<= 10
	}
	if unit == 1 {
		return fmt.Sprintf("%d B", bytes)
	}
	return config.FormatSize(int64(bytes / unit * unit))
}

// seenText says how long ago a peer answered, in few characters.
func seenText(f nodeapi.Fleet, name string) string {
	switch age := f.Age(name); {
	case age == math.MaxInt64:
		return "never"
	case age < 2*time.Second:
		return "now"
	default:
		text, _, _ := strings.Cut(span(age), " ")
		return text
	}
}

// shorten keeps a long name from breaking the table.
func shorten(name string) string {
	if runes := []rune(name); len(runes) > maxShown {
		return string(runes[:maxShown-1]) + "…"
	}
	return name
}
