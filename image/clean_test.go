package image_test

import (
	"os"
	"os/exec" //nolint:depguard // runs clean.sh
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// engine stands for docker: it knows objects by label only, answers for images
// with what was built, derived, and tagged anew, and writes down what it removes.
const engine = `#!/bin/bash
label=
for a; do case $a in label=*) label=${a#label=} ;; esac; done
case "$1 $2" in
"ps -aq"|"volume ls"|"network ls") [[ $label == pgbaton.testbed ]] && echo "$1-of-a-test" ;;
images*) [[ $label == pgbaton.image ]] && printf '%s\n' pgbaton:17 pgbaton:18 pgbaton:dev pgbaton-etcd:dev shop:1 registry.local/pgbaton:17 '<none>:<none>' ;;
"image inspect") case ${@: -1} in
	pgbaton:17|shop:1|registry.local/*|*none*) echo pgbaton:17 ;;
	pgbaton:18|pgbaton:dev) echo pgbaton:18 pgbaton:dev ;;
	*) echo "${@: -1}" ;;
	esac ;;
*) echo "$*" >>"$REMOVED"; [[ $* != "rmi pgbaton:17" ]] ;;
esac
`

func TestCleanRemovesWhatBearsTheProjectsLabelAndNothingOfAUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(engine), 0o755); err != nil {
		t.Fatal(err)
	}
	removed := filepath.Join(dir, "removed")
	cmd := exec.CommandContext(t.Context(), "./clean.sh")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "REMOVED="+removed)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "pgbaton:17 stays: it is in use") {
		t.Errorf("%v\n%s", err, out)
	}
	raw, err := os.ReadFile(removed)
	want := []string{
		"rm -fv ps-of-a-test", "volume rm volume-of-a-test", "network rm network-of-a-test",
		"rmi pgbaton:17", "rmi pgbaton:18", "rmi pgbaton:dev", "rmi pgbaton-etcd:dev",
	}
	if got := strings.Split(strings.TrimSpace(string(raw)), "\n"); err != nil || !slices.Equal(got, want) {
		t.Errorf("removed, %v:\n%s", err, raw)
	}
}
