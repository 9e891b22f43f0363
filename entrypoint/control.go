package entrypoint

import (
	"os"
	"path/filepath"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// controlSettled is how old a change of pg_control must be before its time says
// whether there was another one: file systems count in steps.
const controlSettled = time.Second

// controlCache spares reading and checking pg_control several times per second.
type controlCache struct {
	path  string
	mtime time.Time
	size  int64
	data  node.Control
}

// readControl is pg_control of the data directory as it is now.
func (s *supervisor) readControl(pgdata string) (node.Control, error) {
	c := &s.controls
	path := filepath.Join(pgdata, "global", "pg_control")
	info, err := os.Lstat(path)
	if err == nil && path == c.path && info.ModTime().Equal(c.mtime) && info.Size() == c.size {
		return c.data, nil
	}
	data, e := pg.ReadControl(pgdata)
	*c = controlCache{}
	if err == nil && e == nil && time.Since(info.ModTime()) > controlSettled {
		*c = controlCache{path: path, mtime: info.ModTime(), size: info.Size(), data: data}
	}
	return data, e
}
