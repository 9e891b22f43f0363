package config

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

const referencePath = "../../docs/configuration.md"

func TestTheReferencePageIsCurrent(t *testing.T) {
	if *update {
		if err := os.WriteFile(referencePath, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Reference() {
		t.Error("docs/configuration.md differs from the table of settings; run: go test ./internal/config -update")
	}
}

func TestTheExampleIsAccepted(t *testing.T) {
	got, warnings := mustLoad(t, map[string]string{file: exampleYAML(), "/run/secrets/pgbaton_token": hidden, "/run/secrets/pgbaton_replication": hidden, "/run/secrets/pgbaton_etcd": hidden})
	if len(warnings) > 0 || got.Token.Reveal() != hidden || got.Node != "db1" || len(got.Peers) != 3 {
		t.Errorf("got %+v, %q", got, warnings)
	}
}

func TestTheReferenceTellsEverything(t *testing.T) {
	page := Reference()
	for _, name := range append(knownVariables(), append(knownKeys(), fromFiles...)...) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("%s is not in the reference", name)
		}
	}
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| `PGBATON_") && strings.Count(line, "|") != 6 && strings.Count(line, "|") != 4 {
			t.Errorf("a bar inside a cell breaks the table: %s", line)
		}
	}
}
