package entrypoint

import (
	"slices"
	"testing"

	"github.com/pgbaton/pgbaton/internal/config"
)

func TestACommandIsLedToTheDataDirectoryAndItsPrograms(t *testing.T) {
	t.Parallel()
	const bin, data = "/usr/lib/postgresql/15/bin", "/var/lib/postgresql/data"
	for _, test := range []struct {
		name          string
		environ, want []string
		bin           string
	}{
		{
			"the image's own links",
			[]string{"PGDATA=/run/pgbaton/data", "PATH=/run/pgbaton/bin:/usr/lib/postgresql/17/bin:/bin"},
			[]string{"PGDATA=" + data, "PATH=" + bin + ":/usr/lib/postgresql/17/bin:/bin"},
			bin,
		},
		{"none at all", nil, []string{"PGDATA=" + data}, bin},
		{"the user's own", []string{"PGDATA=/srv/pg", "PATH=/bin"}, []string{"PGDATA=/srv/pg", "PATH=/bin"}, bin},
		{
			"no programs",
			[]string{"PATH=/run/pgbaton/bin:/bin"},
			[]string{"PATH=/run/pgbaton/bin:/bin", "PGDATA=" + data},
			"",
		},
	} {
		if got := leadTo(test.environ, test.bin, data); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

// What a supervisor beside a running server goes on with.
func TestWithoutTheFilesThatItNamesAnEnvironmentIsAccepted(t *testing.T) {
	t.Parallel()
	environ := []string{"PGBATON_CONFIG=/nowhere.yaml", "PGBATON_TOKEN_FILE=/nowhere", "POSTGRES_PASSWORD_FILE=/nowhere", "PGBATON_NODE=n1"}
	if _, _, err := config.Load(environ); err == nil {
		t.Error("the files are not read")
	}
	set, _, err := config.Load(withoutFiles(environ))
	if err != nil || set.Node != "n1" {
		t.Errorf("node %q, %v", set.Node, err)
	}
}
