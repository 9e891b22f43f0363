package main

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// roleText is this node's place in its cluster, in words.
func roleText(f nodeapi.Fleet) string {
	c := f.Node.Cluster
	if c == nil {
		return ""
	}
	parts := []string{placeText(f.Node) + " of " + c.Name}
	if r := c.Record; r != nil {
		parts = append(parts, fmt.Sprintf("epoch %d", r.Epoch), heirText(r))
		if r.Paused {
			parts = append(parts, "paused")
		}
	}
	if f.Node.Role == node.Primary && !c.Open {
		parts = append(parts, "closed to clients")
	}
	if c.Following != "" {
		parts = append(parts, followText(c))
	}
	if c.Corrupt {
		parts = append(parts, "the role record cannot be read")
	}
	return join(append(parts, vipText(c))...)
}

// heirText says who may take over from a primary.
func heirText(r *node.Record) string {
	switch {
	case nodeapi.PlaceOf(r) != nodeapi.PlacePrimary:
		if r.Released != nil {
			return "released to " + r.Released.Target
		}
		return ""
	case r.Heir == nil:
		return "no heir"
	case r.Heir.Armed:
		return "heir " + r.Heir.Node + " armed"
	}
	return "heir " + r.Heir.Node + " not armed"
}

func followText(c *node.Cluster) string {
	if c.Streaming {
		return "streams from " + c.Following
	}
	return "does not stream from " + c.Following
}

// vipText says where this node stands with the virtual address.
func vipText(c *node.Cluster) string {
	text := ""
	switch {
	case c.VIP:
		text = "VIP here"
	case c.Eligible:
		text = "may hold the VIP"
	case c.VRRP != "":
		text = "may not hold the VIP"
	}
	if c.VRRP != "" {
		text += " (VRRP " + c.VRRP + ")"
	}
	return text
}

// placeText is a node's place in one word.
func placeText(st node.State) string {
	switch c := st.Cluster; {
	case c == nil:
		return "alone"
	case c.Building:
		return "building"
	case c.Record == nil && c.Empty:
		return "empty"
	case c.Record == nil:
		return "unknown"
	}
	return nodeapi.PlaceOf(st.Cluster.Record)
}
