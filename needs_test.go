package main

import (
	"os"
	"os/exec" //nolint:depguard // runs .ci/needs
	"path/filepath"
	"strings"
	"testing"
)

// TestMakeTestInstallsWhatItNeedsAsRootAndOtherwiseSaysTheOneLineThatDoes runs
// .ci/needs on a machine that has next to nothing.
func TestMakeTestInstallsWhatItNeedsAsRootAndOtherwiseSaysTheOneLineThatDoes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, uid string
		ends      bool
	}{{"root", "0", true}, {"somebody", "1000", false}} {
		dir := t.TempDir()
		program := func(name, text string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/bash\n"+text+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		program("id", "echo "+test.uid)
		program("docker", `[[ $1 == version ]] && echo "docker 20.10"`) // an engine, without the Compose plugin
		program("apt-get", `echo "apt-get $*" >>"$DID"`)
		sort, err := exec.LookPath("sort")
		if err != nil {
			t.Fatal(err)
		}
		program("sort", "exec "+sort+` "$@"`)
		cmd := exec.CommandContext(t.Context(), "/bin/bash", ".ci/needs")
		did := filepath.Join(dir, "did")
		cmd.Env = []string{"PATH=" + dir, "DID=" + did}
		out, err := cmd.CombinedOutput()
		raw, _ := os.ReadFile(did) // where nothing was done there is none
		said := string(out)
		if test.ends {
			said = string(raw)
		}
		if (err == nil) != test.ends || test.ends == (len(raw) == 0) {
			t.Errorf("as %s: %v\n%s\ndone: %s", test.name, err, out, raw)
		}
		for _, part := range []string{"apt-get install -y --no-install-recommends", " gcc ", " libc6-dev", " docker-compose"} {
			if !strings.Contains(said, part) {
				t.Errorf("as %s: %q is missing in %q", test.name, part, said)
			}
		}
	}
}
