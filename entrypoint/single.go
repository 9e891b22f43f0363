package entrypoint

import (
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// asServerUser lets `postgres --single` and the like run as under the official
// entrypoint: as the server's user, on the volume's data directory, and under
// its lock.
func asServerUser(spec *proc.Spec) (release func(), err error) {
	environ := os.Environ()
	st, _, err := readSetup(environ)
	if err != nil {
		return nil, err
	}
	pl, ambiguous, err := st.findPlace(spec.Args)
	if err = errors.Join(err, ambiguous); err != nil {
		return nil, err
	}
	bin, err := st.programs(pl)
	if err != nil {
		return nil, err
	}
	root, err := openVolume(pl, st.user)
	if err != nil {
		return nil, err
	}
	me := durable.Holder{
		Node:      st.set.Node + " (single-user mode, pid " + strconv.Itoa(os.Getpid()) + ")",
		Container: hostname(), Since: time.Now().UTC(),
	}
	lock, err := durable.TryLock(root, lockFile, me, owner(st.user), int(st.user.GID))
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	spec.Path, spec.User = bin.Path("postgres"), &st.user
	spec.Env = setEnv(config.ServerEnviron(environ), "PGDATA", pl.pgdata)
	return func() { _ = errors.Join(lock.Close(), root.Close()) }, nil
}
