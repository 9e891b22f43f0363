package inplace_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestAConfigurationIsCarriedOverByTheProgramsOfBothMajors runs the tests that
// need PostgreSQL's programs inside the image, as root and as the server's
// user: one of the two by chance, everything with PGBATON_SOAK.
func TestAConfigurationIsCarriedOverByTheProgramsOfBothMajors(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	binary := testbed.RealTests(ctx, t, t.TempDir(), ".")
	runs := []configRun{
		{"postgres", "^TestReal(ConfigurationIsCarriedOver|ConfigurationThatChanges|Rules)", 3},
		{"root", "^TestReal(ConfigurationIsCarriedOver|ConfigurationThatChanges|Rules)", 3},
	}
	if testbed.Soak() {
		runs = append(runs, configRun{"root", "^TestReal(Configuration|Settings|Values|Rules)", 10})
	} else {
		i := testbed.Seed(t).IntN(len(runs))
		runs = runs[i : i+1]
	}
	for _, r := range runs {
		out, err := testbed.Docker(ctx, "run", "--rm", "--label", testbed.Label+"=1", "--user", r.user, "--entrypoint", "/inplace.test",
			"-v", binary+":/inplace.test:ro", "--tmpfs", "/tmp:size=2g,exec", "pgbaton:18", "-test.v", "-test.run", r.tests)
		if err != nil {
			t.Errorf("as %s: %v", r.user, err)
		}
		passed := len(regexp.MustCompile(`(?m)^--- PASS: `).FindAllString(out, -1))
		if passed != r.want || strings.Contains(out, "--- SKIP") {
			t.Errorf("as %s %d of %d tests passed:\n%s", r.user, passed, r.want, out)
		}
	}
}

// configRun is some of the tests as one user, and how many they are.
type configRun struct {
	user, tests string
	want        int
}
