package inplace

import (
	"context"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/upgrade"
)

// Verify compares what the new server holds with what the old one held. A
// finding that refuses means that it must not be opened to clients.
func Verify(ctx context.Context, _ *Site, open Session, before upgrade.Census) ([]node.Finding, error) {
	after, err := TakeCensus(ctx, open)
	if err != nil {
		return nil, err
	}
	return upgrade.CompareCensus(before, after), nil
}
