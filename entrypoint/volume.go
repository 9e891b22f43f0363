package entrypoint

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// home is where the official image keeps data, and where ours does.
const home = "/var/lib/postgresql"

// survey is what was seen of the file system before anything was decided.
type survey struct {
	pgdata   string            // PGDATA of the environment; empty where it is unset or the image's default
	byArg    bool              // … it is the argument -D
	major    int               // PG_MAJOR: the default for an empty volume
	override string            // PGBATON_VOLUME
	mounts   []string          // mount points, from /proc/self/mountinfo
	clusters []string          // directories below home, and below a PGDATA that was named, that hold a PG_VERSION
	bare     []string          // of those that may be a mount: nothing lies there but what is ours and directories of majors
	peers    bool              // PGBATON_PEERS
	records  map[string]string // .pgbaton's parent directory → the data directory it names
}

// place is which directory is the data directory and which the volume.
type place struct {
	volume string // holds .pgbaton
	pgdata string
	why    string // how it was found, a sentence
	named  bool   // the user named the data directory
}

// choosePlace says which directory is PGDATA (DESIGN: the volume). Several
// clusters without a record are an error that names them: whoever guessed
// could serve the wrong one.
func choosePlace(s survey) (place, error) {
	pl, err := s.choose()
	if err == nil && pl.pgdata == pl.volume && slices.Contains(s.bare, pl.volume) {
		return s.lower(pl)
	}
	return pl, err
}

func (s survey) choose() (place, error) {
	if s.pgdata != "" {
		pl := s.at(s.pgdata, "PGDATA names it")
		pl.named = true
		return pl, nil
	}
	base := home
	if slices.Contains(s.mounts, home+"/data") {
		base = home + "/data"
	}
	found := below(base, s.clusters)
	switch {
	case len(found) == 1:
		return s.at(found[0], "it is the only cluster on the volume"), nil
	case len(found) > 1:
		return s.byRecord(base, found)
	case base != home:
		return s.at(base, "it is a mount, as with the official image up to 17"), nil
	default:
		return s.at(lowerDir(home, s.major), "the volume is empty and PG_MAJOR names the major"), nil
	}
}

// lower is about a mount that is the data directory itself and holds no
// cluster: its cluster was moved below it, or, with peers, is made there.
func (s survey) lower(pl place) (place, error) {
	found := below(pl.volume, s.clusters)
	var low place
	var err error
	switch {
	case !s.peers && !slices.Contains(found, s.records[pl.volume]):
		return pl, nil
	case len(found) > 1:
		low, err = s.byRecord(pl.volume, found)
	case len(found) == 1:
		low = s.at(found[0], "the mount itself holds no cluster, and this is the only one below it")
	default:
		low = s.at(lowerDir(pl.volume, s.major), "PGBATON_PEERS is set, so the data directory lies below its mount")
	}
	if err == nil && s.byArg {
		return pl, fmt.Errorf("the argument -D names %s, which is the mount itself, and the data directory is %s; nothing was touched. Leave -D out", pl.pgdata, low.pgdata)
	}
	return low, err
}

// lowerDir is the data directory of a major below a volume, as in the image.
func lowerDir(volume string, major int) string {
	return path.Join(volume, strconv.Itoa(major), "docker")
}

func (s survey) byRecord(base string, found []string) (place, error) {
	named := s.records[base]
	if slices.Contains(found, named) {
		return s.at(named, "of several clusters on the volume our record names it"), nil
	}
	return s.at(base, ""), fmt.Errorf("the volume holds several clusters (%s) and no record says which is in use; "+
		"nothing was touched. Set PGDATA to the one to serve", strings.Join(found, ", "))
}

func (s survey) at(pgdata, why string) place {
	return place{volume: s.volumeOf(pgdata), pgdata: pgdata, why: why}
}

// volumeOf is the mount that holds the directory. Without any mount it is the
// directory that outlives a change of major, or else PGDATA itself.
func (s survey) volumeOf(pgdata string) string {
	if s.override != "" {
		return s.override
	}
	best := "/"
	for _, m := range s.mounts {
		if within(m, pgdata) && len(m) > len(best) {
			best = m
		}
	}
	switch {
	case best != "/":
		return best
	case within(home, pgdata):
		return home
	default:
		return pgdata
	}
}

// within reports whether p is dir or lies below it.
func within(dir, p string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, dir+"/")
}

func below(base string, dirs []string) []string {
	var found []string
	for _, d := range dirs {
		if within(base, d) {
			found = append(found, d)
		}
	}
	slices.Sort(found)
	return found
}
