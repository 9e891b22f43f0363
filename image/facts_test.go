package image_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// inspected is what the engine says about an image.
type inspected struct {
	Size   int64
	Config struct {
		Labels       map[string]string
		StopSignal   string
		ExposedPorts map[string]any
		Volumes      map[string]any
		Entrypoint   []string
		Cmd          []string
		Healthcheck  *struct{ Test []string }
		User         string
	}
	RootFS struct{ Layers []string }
}

func inspect(t *testing.T, image string) inspected {
	t.Helper()
	out, err := testbed.Docker(t.Context(), "image", "inspect", image)
	if err != nil {
		t.Fatal(err)
	}
	var all []inspected
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		t.Fatalf("docker image inspect %s: %v\n%s", image, err, out)
	}
	return all[0]
}

func TestTheImageSaysWhatIsInItAndItsTagsShareAllLayers(t *testing.T) {
	t.Parallel()
	newest := inspect(t, "pgbaton:dev")
	for _, major := range []int{15, 17, 18} {
		i := inspect(t, ours(major))
		if i.Config.Labels["pgbaton.majors"] != "15 17 18" || i.Config.Labels["pgbaton.major"] != fmt.Sprint(major) {
			t.Errorf("labels of %d: %q", major, i.Config.Labels)
		}
		if !slices.Equal(i.RootFS.Layers, newest.RootFS.Layers) {
			t.Errorf("pgbaton:%d and pgbaton:dev have other layers", major)
		}
		if i.Config.StopSignal != "SIGINT" || i.Config.User != "" ||
			!slices.Equal(i.Config.Entrypoint, []string{"entrypoint"}) || !slices.Equal(i.Config.Cmd, []string{"postgres"}) {
			t.Errorf("configuration of %d: %+v", major, i.Config)
		}
		for _, port := range []string{"5432/tcp", "8008/tcp"} {
			if _, there := i.Config.ExposedPorts[port]; !there {
				t.Errorf("%d exposes %v", major, i.Config.ExposedPorts)
			}
		}
		if _, there := i.Config.Volumes[home]; !there || len(i.Config.Volumes) != 1 {
			t.Errorf("volumes of %d: %v", major, i.Config.Volumes)
		}
		if i.Config.Healthcheck == nil {
			t.Errorf("%d has no health check", major)
		}
		if i.Size > 900_000_000 {
			t.Errorf("pgbaton:%d has %d MB", major, i.Size/1_000_000)
		}
	}
}

func TestTheImageHasTheProgramsLocalesAndExtensionsOfTheOfficialOne(t *testing.T) {
	t.Parallel()
	c := serve(t, ourSpec(17))
	for _, program := range []string{"keepalived", "zstd", "xz", "ip", "gosu", "docker-entrypoint.sh", "docker-ensure-initdb.sh", "docker-enforce-initdb.sh", "entrypoint", "notify", "upgrade", "pgbaton"} {
		if c.Exec("sh", "-c", "command -v "+program).Code != 0 {
			t.Errorf("%s is missing", program)
		}
	}
	if got := c.MustExec("sh", "-c", "getent passwd postgres; getent group postgres; ls -d /docker-entrypoint-initdb.d; echo $LANG; stat -c '%a %U' /var/lib/postgresql"); got !=
		"postgres:x:999:999::/var/lib/postgresql:/bin/bash\npostgres:x:999:\n/docker-entrypoint-initdb.d\nen_US.utf8\n1777 postgres" {
		t.Errorf("user, group, directory, locale:\n%s", got)
	}
	got := psql(t, c, `select concat_ws('|', pg_jit_available(), (select datcollate from pg_database where datname = 'postgres'), pg_encoding_to_char(encoding), current_setting('listen_addresses'))
		from pg_database where datname = 'template1'`)
	if got != "t|en_US.utf8|UTF8|*" {
		t.Errorf("jit, collation, encoding, addresses: %s", got)
	}
	for _, extension := range []string{"pg_stat_statements", "hstore", "postgres_fdw", "pgcrypto", "pg_trgm"} {
		psql(t, c, "create extension "+extension)
	}
	for _, major := range []string{"15", "18"} {
		c.MustExec("test", "-e", "/usr/share/postgresql/"+major+"/extension/pgcrypto.control")
		c.MustExec("test", "-e", "/usr/lib/postgresql/"+major+"/lib/llvmjit.so")
	}
	if out := c.MustExec("sh", "-c", "ls /var/lib/apt/lists /var/cache/apt/archives 2>/dev/null || true"); strings.Contains(out, ".deb") || strings.Contains(out, "Packages") {
		t.Errorf("caches of apt are in the image:\n%s", out)
	}
}

// The recipe of the official image's own documentation.
func TestDerivedImagesAddALocaleAsWithTheOfficialImage(t *testing.T) {
	t.Parallel()
	spec := ourSpec(17)
	spec.Args = []string{"bash", "-c", "localedef -i de_DE -c -f UTF-8 -A /usr/share/locale/locale.alias de_DE.UTF-8 && locale -a"}
	if log := ends(t, testbed.Run(t, spec), 0); !strings.Contains(log, "de_DE.utf8") {
		t.Errorf("the locales are:\n%s", log)
	}
}

func TestInDockerExecTheProgramsAndPGDATAAreThoseOfTheRunningMajor(t *testing.T) {
	t.Parallel()
	// Volumes of another major than the tag; fresh ones are in TestTheDataDirectory….
	for major, tag := range map[int]int{15: 18, 18: 15} {
		t.Run(fmt.Sprintf("%d under tag %d", major, tag), func(t *testing.T) {
			t.Parallel()
			at, pgdata := officialData(t, major)
			c := serve(t, ourSpec(tag, at))
			programs(t, c, major, pgdata)
			if got := c.MustExec("pg_dump", "-U", "postgres", "--schema-only"); !strings.Contains(got, fmt.Sprintf("Dumped by pg_dump version %d.", major)) {
				t.Errorf("pg_dump:\n%s", got)
			}
		})
	}
}

func TestTheHealthCheckMeansThatTheSupervisorLivesAndNothingElse(t *testing.T) {
	t.Parallel()
	c := serve(t, ourSpec(17))
	c.WaitHealth("healthy", patience)
	c.MustExec("pgbaton", "stop")
	phase(t, c, node.Stopped)
	stopped := time.Now()
	// Until a check that began after the stop has been made.
	c.Eventually(patience, "a health check after the stop", func() bool {
		out, err := testbed.Docker(t.Context(), "inspect", "-f", "{{json .State.Health}}", c.ID)
		if err != nil {
			t.Fatal(err)
		}
		var health struct {
			Status string
			Log    []struct {
				Start    time.Time
				ExitCode int
				Output   string
			}
		}
		if err := json.Unmarshal([]byte(out), &health); err != nil {
			t.Fatal(err)
		}
		for _, check := range health.Log {
			if check.Start.After(stopped) && check.ExitCode == 0 { // a single one may be too slow on a busy machine
				return health.Status == "healthy"
			}
		}
		if health.Status == "unhealthy" {
			t.Fatalf("with postgres stopped: %+v", health)
		}
		return false
	})
	if r := c.Exec("pgbaton", "status", "--ready"); r.Code == 0 {
		t.Error("a stopped server is ready")
	}
}
