package inplace

import (
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/upgrade"
)

func (r *configReader) oldDirs() []string {
	dirs := []string{filepath.Clean(r.s.PGData)}
	if r.real != dirs[0] {
		dirs = append(dirs, r.real)
	}
	return dirs
}

// sources are the files as the decision sees them.
func (r *configReader) sources() []upgrade.ConfSource {
	res := make([]upgrade.ConfSource, len(r.files))
	for i, f := range r.files {
		res[i] = upgrade.ConfSource{Path: f.path, Inside: f.rel != "", Lines: f.lines}
	}
	return res
}

// values are what the old server would start with, by name in lower case.
func (r *configReader) values(args []upgrade.ConfArg) map[string]string {
	res := map[string]string{}
	for _, o := range r.order {
		res[o.name] = o.value
	}
	for _, a := range args {
		res[strings.ToLower(a.Name)] = a.Value
	}
	return res
}

// shadowed are the lines whose values later lines override.
func (r *configReader) shadowed() map[upgrade.ConfPlace]bool {
	last := map[string]upgrade.ConfPlace{}
	for _, o := range r.order {
		last[o.name] = o.place
	}
	res := map[upgrade.ConfPlace]bool{}
	for _, o := range r.order {
		if last[o.name] != o.place {
			res[o.place] = true
		}
	}
	return res
}
