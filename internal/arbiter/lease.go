package arbiter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// leaseSeconds is the shortest that etcd grants with its own defaults.
const leaseSeconds = 2

// keptFor is how old etcd's latest word may be that the lease was prolonged,
// which comes each third of its time.
const keptFor = 1500 * time.Millisecond

// Hold says whether this node is an open primary, whose lease is kept.
func (a *Arbiter) Hold(on bool) {
	if a.want.Swap(on) != on {
		a.Kick()
	}
}

// keepLease keeps the lease, or gives it back.
func (a *Arbiter) keepLease(ctx context.Context, c *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if !a.want.Load() {
		return a.endLease(ctx, c)
	}
	if a.lease != 0 && !a.isKept() {
		a.dropLease()
	}
	if a.lease != 0 && a.Seen().Lease == a.cfg.Node {
		return nil
	}
	return a.takeLease(ctx, c)
}

// isKept reports whether etcd has prolonged the lease a moment ago.
func (a *Arbiter) isKept() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.kept) < keptFor
}

// prolong keeps the lease on one stream for as long as it is wanted: etcd's
// client logs in anew for each stream, which costs etcd a password's hash.
func (a *Arbiter) prolong(c *clientv3.Client) {
	ctx, end := context.WithCancel(c.Ctx())
	a.unkeep = end
	answers, err := c.KeepAlive(ctx, a.lease)
	if err != nil {
		return // it is not kept, which is seen
	}
	go func() {
		for range answers {
			a.renewed()
		}
	}()
}

func (a *Arbiter) renewed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept = time.Now()
}

// dropLease lets the lease run out.
func (a *Arbiter) dropLease() {
	a.unkeep()
	a.lease = 0
}

// takeLease puts this node's name under a lease of its own, where nobody
// else's stands.
func (a *Arbiter) takeLease(ctx context.Context, c *clientv3.Client) error {
	if a.lease == 0 {
		g, err := c.Grant(ctx, leaseSeconds)
		if err != nil {
			return fmt.Errorf("ask for a lease: %w", err)
		}
		a.lease = g.ID
		a.renewed()
		a.prolong(c)
	}
	key := a.cfg.leaseKey()
	put := clientv3.OpPut(key, a.cfg.Node, clientv3.WithLease(a.lease))
	mine := clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Value(key), "=", a.cfg.Node)}, []clientv3.Op{put}, nil)
	_, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).Then(put).Else(mine).Commit()
	if err != nil {
		return fmt.Errorf("take the lease: %w", err)
	}
	return nil
}

func (a *Arbiter) endLease(ctx context.Context, c *clientv3.Client) error {
	if a.lease == 0 {
		return nil
	}
	a.unkeep()
	_, err := c.Revoke(ctx, a.lease)
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("give the lease back: %w", err)
	}
	a.lease = 0
	return nil
}
