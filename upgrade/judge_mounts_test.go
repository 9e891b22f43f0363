package upgrade

import (
	"slices"
	"testing"
)

func TestMountsInTheWayOfTheSwitchAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		volume string
		mounts []string
		dirs   []string
		want   []string
	}{
		"the volume's own mount": {"/v", []string{"/", "/v", "/proc"}, []string{"/v/15/docker"}, nil},
		"pg_wal":                 {"/v", []string{"/v", "/v/15/docker/pg_wal"}, []string{"/v/15/docker", "/v/17/docker"}, []string{"/v/15/docker/pg_wal"}},
		"a file and a secret, told once each": {
			"/v/data",
			[]string{"/v/data", "/v/data/server.key", "/v/data/pg_hba.conf", "/v/data/pg_hba.conf"},
			[]string{"/v/data"},
			[]string{"/v/data/pg_hba.conf", "/v/data/server.key"},
		},
		"one that waits in the new place":      {"/v", []string{"/v", "/v/17/docker/certs"}, []string{"/v/15/docker", "/v/17/docker"}, []string{"/v/17/docker/certs"}},
		"the data directory itself":            {"/v", []string{"/v", "/v/15/docker"}, []string{"/v/15/docker"}, []string{"/v/15/docker"}},
		"a major's directory":                  {"/v", []string{"/v", "/v/17"}, []string{"/v/15/docker", "/v/17/docker"}, []string{"/v/17"}},
		"one beside, a tablespace's perhaps":   {"/v", []string{"/v", "/v/ts", "/v/15", "/v/17x"}, []string{"/v/17/docker"}, nil},
		"the marker, and what is called alike": {"/v", []string{"/v", "/v/upgrade", "/v/upgrades"}, []string{"/v"}, []string{"/v/upgrades"}},
		"no mount at all":                      {"/v", []string{"/"}, []string{"/v/15/docker"}, nil},
	} {
		if got := MountsInTheWay(c.volume, c.mounts, c.dirs...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
