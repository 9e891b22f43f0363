package arbiter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pgbaton/pgbaton/internal/node"
)

// ErrChanged says that the record is not what it was, or that somebody keeps
// the lease: nothing was changed.
var ErrChanged = errors.New("the record has changed meanwhile, or an open primary keeps its lease; nothing was changed")

// Swap replaces the record where it is still what was seen at a revision (0:
// there was none) and, if leaseless, only where nobody keeps the lease. An
// error other than ErrChanged may come after the change: Seen tells.
func (a *Arbiter) Swap(ctx context.Context, from int64, to node.ClusterRecord, leaseless bool) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	a.mu.Lock()
	c, seen, raw := a.client, a.seen.Revision, a.raw
	a.mu.Unlock()
	if c == nil {
		return errors.New("etcd is not reached now; nothing was changed")
	}
	if seen != from {
		return ErrChanged
	}
	text, err := json.Marshal(to)
	if err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	key := a.cfg.recordKey()
	is := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", from)}
	if from != 0 { // an etcd that lost its data begins its revisions anew
		is = append(is, clientv3.Compare(clientv3.Value(key), "=", raw))
	}
	if leaseless {
		is = append(is, clientv3.Compare(clientv3.CreateRevision(a.cfg.leaseKey()), "=", 0))
	}
	r, err := c.Txn(ctx).If(is...).Then(clientv3.OpPut(key, string(text))).Commit()
	switch {
	case err != nil:
		err = fmt.Errorf("change the record in etcd: %w", plain(err))
	case !r.Succeeded:
		err = ErrChanged
	}
	return errors.Join(err, plain(a.read(ctx, c, nil)))
}
