package image_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestPostgreSQLsFilesAndRulesAreReadRightlyOnRealServersOfEveryMajor runs the
// tests of internal/pg that need PostgreSQL's programs and root inside the
// image, where both are: one major by chance, all of them with PGBATON_SOAK.
func TestPostgreSQLsFilesAndRulesAreReadRightlyOnRealServersOfEveryMajor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	tests := testbed.RealTests(ctx, t, t.TempDir(), "../internal/pg")
	majors, only := []string{"15", "17", "18"}, "^TestReal"
	if !testbed.Soak() {
		one := majors[testbed.Seed(t).IntN(len(majors))]
		majors, only = []string{one}, "^TestReal/^"+one+"$"
	}
	out, err := testbed.Docker(
		ctx, "run", "--rm", "--label", testbed.Label+"=1", "--entrypoint", "/pg.test",
		"-v", tests+":/pg.test:ro", "--tmpfs", "/tmp:size=2g", ours(18), "-test.v", "-test.run", only,
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, major := range majors {
		if !strings.Contains(out, "--- PASS: TestRealRulesLetUsInWhateverTheUsersFileSays/"+major) {
			t.Errorf("nothing was tested on %s:\n%s", major, out)
		}
	}
	if strings.Contains(out, "--- SKIP") {
		t.Errorf("something was skipped:\n%s", out)
	}
}
