package entrypoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// defaultMajor is for an empty volume where PG_MAJOR says nothing.
const defaultMajor = 18

// What lies in .pgbaton, relative to the volume.
const (
	stateDir   = ".pgbaton"
	lockFile   = stateDir + "/lock"
	initFile   = stateDir + "/init.json"
	recordFile = stateDir + "/cluster.json"
	serverFile = stateDir + "/postmaster.json"
	retiredDir = stateDir + "/retired"
	stagingDir = stateDir + "/initdb"
	moveFile   = stateDir + "/move.json"
)

// ours are the names that may lie in a data directory without making it foreign.
var ours = []string{stateDir, "upgrade", "upgrade.result.json"}

// record says which of a volume's clusters is in use.
type record struct {
	PGData           string `json:"pgdata"`
	Major            int    `json:"major"`
	SystemIdentifier uint64 `json:"system_identifier,string"`
}

// lookAround gathers what choosePlace decides on.
func lookAround(off config.Official, set config.Settings, args []string) (survey, error) {
	pgdata, err := givenPGData(off.PGData, set.ControlDir, args)
	if err != nil {
		return survey{}, err
	}
	mounts, err := proc.Mounts()
	if err != nil {
		return survey{}, err
	}
	s := survey{
		pgdata: pgdata, byArg: dataArgument(args) != "", major: off.Major, override: set.Volume, peers: len(set.Peers) > 0,
		mounts: mounts, records: map[string]string{},
	}
	if s.major == 0 {
		s.major = defaultMajor
	}
	bases := []string{home, home + "/data"}
	if pgdata != "" && !slices.Contains(bases, pgdata) {
		bases = append(bases, pgdata)
	}
	s.clusters = findClusters(bases)
	for _, base := range bases {
		if rec, err := readRecord(base); err == nil {
			s.records[base] = rec.PGData
		}
		if isBare(base) {
			s.bare = append(s.bare, base)
		}
	}
	return s, nil
}

// isBare reports whether a directory holds nothing but what is ours and
// directories of majors. One that is being moved, or initialised, is not.
func isBare(dir string) bool {
	for _, name := range []string{moveFile, initFile} {
		if exists(filepath.Join(dir, name)) {
			return false
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	for _, e := range entries {
		if _, err := strconv.ParseUint(e.Name(), 10, 16); !isOurs(e.Name()) && (err != nil || !e.IsDir()) {
			return false
		}
	}
	return true
}

// givenPGData is the data directory that the user named: by -D or by PGDATA.
// The image's own PGDATA is a link that the supervisor keeps, and counts as unset.
func givenPGData(env, controlDir string, args []string) (string, error) {
	byEnv := ""
	if env != "" {
		byEnv = filepath.Clean(env)
	}
	if byEnv == filepath.Join(controlDir, "data") || byEnv == "/run/pgbaton/data" {
		byEnv = ""
	}
	byArg := dataArgument(args)
	if byArg != "" && byEnv != "" && byArg != byEnv {
		return "", fmt.Errorf("PGDATA is %s and the argument -D is %s: two data directories; nothing was touched, keep one of them", byEnv, byArg)
	}
	if byArg != "" {
		byEnv = byArg
	}
	if byEnv != "" && !filepath.IsAbs(byEnv) {
		return "", fmt.Errorf("the data directory %q is not an absolute path; nothing was touched", byEnv)
	}
	if real, err := filepath.EvalSymlinks(byEnv); byEnv != "" && err == nil {
		byEnv = real // mounts are known by their real paths
	}
	return byEnv, nil
}

// dataArgument is what postgres would take from -D (src/backend/main, getopt).
func dataArgument(args []string) string {
	for i, a := range args {
		switch {
		case a == "-D" && i+1 < len(args):
			return filepath.Clean(args[i+1])
		case strings.HasPrefix(a, "-D") && len(a) > 2:
			return filepath.Clean(a[2:])
		}
	}
	return ""
}

// findClusters returns the directories in which the official image and this
// one keep clusters and that hold one.
func findClusters(bases []string) []string {
	candidates := slices.Clone(bases)
	for _, base := range bases {
		found, _ := filepath.Glob(base + "/*/docker") // a name that is no pattern finds nothing
		candidates = append(candidates, found...)
	}
	var clusters []string
	for _, dir := range candidates {
		if info, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err == nil && info.Size() > 0 && sane(dir) {
			clusters = append(clusters, dir)
		}
	}
	return clusters
}

// sane leaves out what is no major below home/*/docker.
func sane(dir string) bool {
	if filepath.Base(dir) != "docker" {
		return true
	}
	_, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return err == nil
}

func readRecord(volume string) (record, error) {
	var rec record
	root, err := os.OpenRoot(volume)
	if err != nil {
		return rec, err
	}
	err = durable.ReadJSON(root, recordFile, &rec)
	return rec, errors.Join(err, root.Close())
}
