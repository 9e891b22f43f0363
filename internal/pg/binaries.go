package pg

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// required is what a major must have to be served, dumped and upgraded.
var required = []string{"postgres", "initdb", "pg_ctl", "pg_controldata", "pg_dump", "pg_upgrade"}

var majorDir = regexp.MustCompile(`^[1-9][0-9]$`)

// Binaries are the programs of one major version.
type Binaries struct {
	Major int
	Bin   string // directory of the programs, absolute
}

// Path is the absolute path of a program; it need not exist (psql may be a
// package of its own, found by PATH).
func (b Binaries) Path(prog string) string { return filepath.Join(b.Bin, prog) }

// Find looks for <root>/<major>/bin, as Debian and the official image install
// it (/usr/lib/postgresql), and returns the majors whose set is whole,
// ascending. Where two roots have the same major the earlier root wins, so a
// mounted directory can replace what the image has. Roots that do not exist
// are no error: they are places where somebody may mount one.
func Find(roots []string) []Binaries {
	found := map[int]Binaries{}
	for _, root := range roots {
		for _, b := range findIn(root) {
			if _, ok := found[b.Major]; !ok {
				found[b.Major] = b
			}
		}
	}
	res := make([]Binaries, 0, len(found))
	for _, b := range found {
		res = append(res, b)
	}
	slices.SortFunc(res, func(a, b Binaries) int { return a.Major - b.Major })
	return res
}

// Majors lists the versions of bs.
func Majors(bs []Binaries) []int {
	res := make([]int, len(bs))
	for i, b := range bs {
		res[i] = b.Major
	}
	return res
}

// Pick returns the programs of one major, and whether they are there.
func Pick(bs []Binaries, major int) (Binaries, bool) {
	i := slices.IndexFunc(bs, func(b Binaries) bool { return b.Major == major })
	if i < 0 {
		return Binaries{}, false
	}
	return bs[i], true
}

func findIn(root string) []Binaries {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var res []Binaries
	for _, e := range entries {
		if !majorDir.MatchString(e.Name()) {
			continue
		}
		major, _ := strconv.Atoi(e.Name())
		b := Binaries{Major: major, Bin: filepath.Join(root, e.Name(), "bin")}
		if b.whole() {
			res = append(res, b)
		}
	}
	return res
}

// whole tells a usable major from the remains of one: Debian's client package
// alone also makes <major>/bin.
func (b Binaries) whole() bool {
	for _, prog := range required {
		info, err := os.Stat(b.Path(prog))
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
