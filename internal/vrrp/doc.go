// Package vrrp makes keepalived do what package notify decided: it runs
// keepalived, writes the files that keepalived tracks, reads what keepalived
// says, watches whether the virtual address is on this node, and can move that
// address itself where milliseconds count.
//
// It decides nothing about roles. keepalived outlives the supervisor that
// started it, as postgres does, and the next one adopts it: a crash of a
// supervisor neither moves nor drops the address.
package vrrp
