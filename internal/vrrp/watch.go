package vrrp

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// watchNetwork sends to changed, which has room for one, whenever an address or
// an interface of this network namespace changed; what it is then, the reader
// looks up. It ends when stop is closed, or with a false once the kernel's
// messages can no longer be read (closed tells): then it has to be begun again.
func watchNetwork(stop <-chan struct{}, changed chan<- struct{}) (closed <-chan struct{}, err error) {
	addrs, links := make(chan netlink.AddrUpdate, 64), make(chan netlink.LinkUpdate, 64)
	ignore := func(error) {} // the channel is closed then
	err = netlink.AddrSubscribeWithOptions(addrs, stop, netlink.AddrSubscribeOptions{ErrorCallback: ignore, ReceiveBufferSize: 1 << 18})
	if err != nil {
		return nil, fmt.Errorf("watch addresses: %w", err)
	}
	err = netlink.LinkSubscribeWithOptions(links, stop, netlink.LinkSubscribeOptions{ErrorCallback: ignore, ReceiveBufferSize: 1 << 18})
	if err != nil {
		go drain(addrs)
		return nil, fmt.Errorf("watch interfaces: %w", err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer func() { go drain(addrs); go drain(links) }() // the senders block otherwise
		for {
			var ok bool
			select {
			case _, ok = <-addrs:
			case _, ok = <-links:
			}
			if !ok {
				return
			}
			select {
			case changed <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return gone, nil
}

func drain[T any](c <-chan T) {
	for range c { //nolint:revive // emptied, so that whoever fills it can end
	}
}
