package inplace

import (
	"context"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// TakeCensus counts what a running cluster holds. Of the old cluster it is
// taken as late as can be: what clients drop after it will be missed.
func TakeCensus(ctx context.Context, open Session) (c upgrade.Census, err error) {
	err = open(ctx, func(ctx context.Context, login func(db string) pg.Login) error {
		c, err = pg.TakeCensus(ctx, login)
		return err
	})
	return c, err
}
