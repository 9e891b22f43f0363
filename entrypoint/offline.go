package entrypoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// imageControl is the control directory that the image's PATH and PGDATA lead
// through, whatever PGBATON_CONTROL_DIR says.
const imageControl = "/run/pgbaton"

// commandEnviron is the environment of a command that is no server: PGDATA is
// the data directory and PATH has its programs, as a supervisor would have
// chosen them, for offline tools and for whoever starts a server of their own
// (pg_basebackup, then postgres). A command that needs none of it is not
// stopped by what is wrong there.
func commandEnviron(environ []string) []string {
	st, _, err := readSetup(environ)
	if err != nil {
		st, _, err = readSetup(withoutFiles(environ))
	}
	if err != nil {
		return environ
	}
	pl, ambiguous, err := st.findPlace(nil)
	if err != nil {
		return environ
	}
	if ambiguous != nil {
		complain("find the data directory for $PGDATA", ambiguous)
		return environ
	}
	bin, err := st.programs(pl)
	if err != nil {
		complain("find the programs for PATH", err)
	}
	linkForExec(st.set.ControlDir, bin.Bin, pl.pgdata)
	return leadTo(environ, bin.Bin, pl.pgdata)
}

// linkForExec makes the links for `docker exec` into a container without a
// supervisor. One that is there keeps its own.
func linkForExec(controlDir, bin, pgdata string) {
	if _, err := os.Lstat(nodeapi.FirstSocket(nodeapi.Sockets(controlDir, os.Geteuid()))); err == nil {
		return
	}
	dir, err := openControlDir(controlDir)
	if err == nil {
		err = keepLinks(dir, bin, pgdata)
	}
	_ = err // on a read-only root file system there are none; the command has its own environment
}

// leadTo puts the data directory and the programs where the image has the
// links of a supervisor. What the user chose stays.
func leadTo(environ []string, bin, pgdata string) []string {
	if given := lookup(environ, "PGDATA"); given == "" || filepath.Clean(given) == imageControl+"/data" {
		environ = setEnv(environ, "PGDATA", pgdata)
	}
	path := strings.Split(lookup(environ, "PATH"), ":")
	for i, dir := range path {
		if dir == imageControl+"/bin" && bin != "" {
			path[i] = bin
			return setEnv(environ, "PATH", strings.Join(path, ":"))
		}
	}
	return environ
}

// workingDir is where the container was told to work (docker run -w, WORKDIR).
// Init and the supervisor sit in / themselves, so that nothing they outlive is
// kept busy.
func workingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintf(os.Stderr, "pgbaton: find the working directory: %v; it is / now\n", err)
		return "/"
	}
	return dir
}
