package arbiter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// leaseSeconds is the shortest that etcd grants with its own defaults.
const leaseSeconds = 2

// keptFor is how old etcd's latest word may be that the lease was prolonged,
// which comes each second at the latest.
const keptFor = 1500 * time.Millisecond

// lease is prolonged until end is called or its client is closed.
type lease struct {
	id   clientv3.LeaseID
	end  context.CancelFunc
	mu   sync.Mutex
	kept time.Time // etcd granted or prolonged it last
}

// prolong keeps a lease on one stream: etcd's client logs in anew for each
// stream, which costs etcd a password's hash.
func prolong(c *clientv3.Client, id clientv3.LeaseID) *lease {
	ctx, end := context.WithCancel(c.Ctx())
	l := &lease{id: id, end: end, kept: time.Now()}
	answers, err := c.KeepAlive(ctx, id)
	if err != nil {
		return l // it is not kept, which is seen
	}
	go func() {
		for range answers {
			l.mu.Lock()
			l.kept = time.Now()
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *lease) isKept() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.kept) < keptFor
}

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
	if a.lease != nil && !a.lease.isKept() {
		a.lease.end() // it runs out
		a.lease = nil
	}
	if a.lease != nil && a.Seen().Lease == a.cfg.Node {
		return nil
	}
	return a.takeLease(ctx, c)
}

// takeLease puts this node's name under a lease of its own, where nobody
// else's stands.
func (a *Arbiter) takeLease(ctx context.Context, c *clientv3.Client) error {
	if a.lease == nil {
		g, err := c.Grant(ctx, leaseSeconds)
		if err != nil {
			return fmt.Errorf("ask for a lease: %w", err)
		}
		a.lease = prolong(c, g.ID)
	}
	key := a.cfg.leaseKey()
	put := clientv3.OpPut(key, a.cfg.Node, clientv3.WithLease(a.lease.id))
	mine := clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Value(key), "=", a.cfg.Node)}, []clientv3.Op{put}, nil)
	_, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).Then(put).Else(mine).Commit()
	if err != nil {
		return fmt.Errorf("take the lease: %w", err)
	}
	return nil
}

func (a *Arbiter) endLease(ctx context.Context, c *clientv3.Client) error {
	if a.lease == nil {
		return nil
	}
	a.lease.end()
	_, err := c.Revoke(ctx, a.lease.id)
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("give the lease back: %w", err)
	}
	a.lease = nil
	return nil
}
