package upgrade

import (
	"path"
	"slices"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// MountsInTheWay are the mounts below the volume's that keep one of these
// directories, all on it, from being renamed, or that would go along with it and
// be somewhere else again in the next container: what is mounted in it, and what
// is mounted between the volume's mount and it.
func MountsInTheWay(volume string, mounts []string, dirs ...string) []string {
	var found []string
	for _, m := range mounts {
		if m == volume || !inside(volume, m) || inside(path.Join(volume, "upgrade"), m) { // the marker stays where it is
			continue
		}
		if slices.ContainsFunc(dirs, func(dir string) bool { return inside(dir, m) || inside(m, dir) }) {
			found = append(found, m)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// inside reports whether p is dir or lies below it.
func inside(dir, p string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

func judgeMounts(f Facts) []node.Finding {
	if len(f.Mounts) == 0 {
		return nil
	}
	return []node.Finding{refuse("mounts-inside",
		"mount configuration files, certificates and secrets outside of the data directory and name them there (`-c hba_file=…`, `-c config_file=…`, ssl_cert_file); "+
			"move pg_wal into the data directory, or to a mount outside that pg_wal is a link to; then make the container anew without these mounts",
		"mounted inside of the volume's mount, where the old cluster or the new one is renamed: %s", list(f.Mounts))}
}
