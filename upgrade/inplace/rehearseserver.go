package inplace

import (
	"context"
	"os"
	"path/filepath"

	"github.com/pgbaton/pgbaton/internal/pg"
)

// session is a way into the server on the copy.
func (r *rehearsal) session(ctx context.Context, do func(ctx context.Context, login func(db string) pg.Login) error) error {
	return do(ctx, r.server.Login)
}

func (r *rehearsal) start(ctx context.Context, b pg.Binaries, data string) (err error) {
	s := &r.copied.Site
	r.server, err = pg.StartHelper(ctx, pg.HelperSpec{
		Binaries: b, Data: data, User: &s.User, Env: s.Environ, Superuser: s.Superuser, Dirs: []string{filepath.Dir(s.Sockets)},
		Fsync: true, Settings: bothSettings(r.copied.Prepared.Facts),
	})
	return err
}

func (r *rehearsal) stop(ctx context.Context) error {
	if r.server == nil {
		return nil
	}
	server := r.server
	r.server = nil
	return server.Stop(ctx)
}

// clear ends what runs on the copy and removes it.
func (r *rehearsal) clear(ctx context.Context) error {
	if r.server != nil {
		ended, cancel := context.WithCancel(ctx)
		cancel() // nobody needs its data
		_ = r.stop(ended)
	}
	if r.copied.Site.Root != nil {
		_ = r.copied.Site.Root.Close()
	}
	_ = os.RemoveAll(r.real.Site.Sockets)
	return r.real.Site.CleanRehearsal(ctx)
}
