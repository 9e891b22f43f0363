package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pgbaton/pgbaton/internal/config"
)

// TestTheExamplesOfClustersHaveSettingsThatAreAccepted loads the settings of
// each node of the files that roles.md tells people to start with.
func TestTheExamplesOfClustersHaveSettingsThatAreAccepted(t *testing.T) {
	for _, file := range []string{"image/compose-cluster.yaml", "image/swarm.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var example struct {
			Services map[string]struct {
				Environment map[string]string
				Grace       time.Duration `yaml:"stop_grace_period"`
				Volumes     []any
				CapAdd      []string `yaml:"cap_add"`
			}
		}
		if err := yaml.Unmarshal(text, &example); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		nodes := map[string]bool{}
		bootstrap := ""
		for name, service := range example.Services {
			s, warnings, err := config.Load(environOf(t, service.Environment))
			if err != nil || len(warnings) > 0 {
				t.Errorf("%s, %s: %v, warnings: %v", file, name, err, warnings)
				continue
			}
			nodes[s.Node], bootstrap = true, s.Bootstrap
			if s.StopGrace != service.Grace || len(s.Peers) == 0 || !s.VIP.IsValid() || len(service.CapAdd) != 2 {
				t.Errorf("%s, %s: stop grace %s and %s, peers %v, VIP %v, capabilities %v", file, name, s.StopGrace, service.Grace, s.Peers, s.VIP, service.CapAdd)
			}
			if !slices.ContainsFunc(service.Volumes, atParent) {
				t.Errorf("%s, %s: volumes %v", file, name, service.Volumes)
			}
		}
		if !nodes[bootstrap] {
			t.Errorf("%s: PGBATON_BOOTSTRAP is %q, and the nodes are %v", file, bootstrap, slices.Collect(maps.Keys(nodes)))
		}
	}
}

// atParent reports whether a volume is mounted one level above the data
// directory, where a node with peers needs it.
func atParent(volume any) bool {
	text, _ := volume.(string)
	return strings.HasSuffix(text, ":/var/lib/postgresql")
}

// environOf is what the container gets: secrets in files, and Swarm's template
// filled in.
func environOf(t *testing.T, variables map[string]string) (environ []string) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range variables {
		if strings.HasSuffix(name, "_FILE") {
			value = secret
		}
		environ = append(environ, name+"="+strings.ReplaceAll(value, "{{.Node.Hostname}}", "host1"))
	}
	return environ
}
