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
const maxShown = 13

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
	silent := silentNodes(c)
	for _, peer := range c.Peers {
		if peer.Error != "" && (peer.Node == "" || silent[peer.Node]) {
			p.row("peer", silentText(peer))
		}
	}
	p.b.WriteString("\n")
	tw := tabwriter.NewWriter(&p.b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NODE\tROLE\tSTATE\tTIMELINE\tLAG\tVIP\tPG\tSEEN")
	fmt.Fprintln(tw, nodeLine(f, f.Node, "here"))
	for _, st := range f.Peers {
		line := nodeLine(f, st, seenText(f, st.Node))
		if silent[st.Node] {
			line = silentLine(f, st)
		}
		delete(silent, st.Node)
		fmt.Fprintln(tw, line)
	}
	for _, peer := range c.Peers {
		if peer.Error != "" && (peer.Node == "" || silent[peer.Node]) {
			fmt.Fprintln(tw, rememberedLine(peer))
			delete(silent, peer.Node)
		}
	}
	_ = tw.Flush() // it writes into memory
}

// silentNodes are those that answer at none of their addresses.
func silentNodes(c *node.Cluster) map[string]bool {
	silent := map[string]bool{}
	for _, peer := range c.Peers {
		if peer.Node != "" && peer.Error != "" {
			silent[peer.Node] = true
		}
	}
	for _, peer := range c.Peers {
		if peer.Error == "" {
			delete(silent, peer.Node)
		}
	}
	return silent
}

// silentText says why a peer is silent, and what it was when it was heard of
// last.
func silentText(peer node.Peer) string {
	text := peer.Error
	if !strings.Contains(text, peer.Address) {
		text = peer.Address + ": " + text
	}
	last := peer.Last
	if last == nil {
		return text
	}
	what := "a standby"
	switch {
	case last.Primary:
		what = "the primary"
	case last.Armed:
		what = "an armed heir"
	}
	text += fmt.Sprintf("; %s was %s", peer.Node, what)
	if last.Epoch > 0 {
		text += fmt.Sprintf(" of epoch %d", last.Epoch)
	}
	if last.VIP {
		text += ", with the VIP"
	}
	return text + fmt.Sprintf(", when it was seen last, %s ago", span(peer.Age))
}

// silentLine is nodeLine of a node that does not answer: what it said last is no
// news of what it does, and no claim to what another one may have by now.
func silentLine(f nodeapi.Fleet, st node.State) string {
	fields := strings.Split(nodeLine(f, st, seenText(f, st.Node)), "\t")
	fields[2], fields[5] = "silent", "-"
	switch fields[1] {
	case nodeapi.PlacePrimary, nodeapi.PlaceHeir, nodeapi.PlaceStandby:
		fields[1] = "was " + fields[1]
	}
	if st.Cluster != nil && st.Cluster.VIP {
		fields[5] = "had"
	}
	return strings.Join(fields, "\t")
}

// rememberedLine is the line of a node that has not answered since the
// supervisor started.
func rememberedLine(peer node.Peer) string {
	name, role, vip, seen := peer.Node, "?", "-", "never"
	if name == "" {
		name = peer.Address
	}
	if last := peer.Last; last != nil {
		role = "was standby"
		switch {
		case last.Primary:
			role = "was primary"
		case last.Armed:
			role = "was heir"
		}
		if last.VIP {
			vip = "had"
		}
		seen, _, _ = strings.Cut(span(peer.Age), " ")
	}
	return strings.Join([]string{shorten(name), role, "silent", "?", "?", vip, "?", seen}, "\t")
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
