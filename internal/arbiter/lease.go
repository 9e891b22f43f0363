package arbiter

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// leaseSeconds is the shortest that etcd grants with its own defaults.
const leaseSeconds = 2

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
	if a.lease != 0 {
		_, err := c.KeepAliveOnce(ctx, a.lease)
		if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return fmt.Errorf("keep the lease: %w", err)
		}
		if err == nil && a.Seen().Lease == a.cfg.Node {
			return nil
		}
		if err != nil {
			a.lease = 0
		}
	}
	return a.takeLease(ctx, c)
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
	_, err := c.Revoke(ctx, a.lease)
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("give the lease back: %w", err)
	}
	a.lease = 0
	return nil
}
