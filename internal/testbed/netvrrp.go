package testbed

import "fmt"

// CutVRRP lets no VRRP through between two containers; all else passes. Each
// keepalived takes the other for dead.
func (n *Network) CutVRRP(a, b *Container) (undo func()) {
	n.tb.Helper()
	const vrrp = "ip protocol 112"
	return n.lose(fmt.Sprintf("let VRRP pass between %s and %s", nameOf(a), nameOf(b)),
		&rule{from: addressOf(a), to: addressOf(b), share: 1, only: vrrp},
		&rule{from: addressOf(b), to: addressOf(a), share: 1, only: vrrp})
}
