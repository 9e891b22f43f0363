package image_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestTheSchemaTrialFindsWhatTheRestoreRefusesAndTouchesNothing runs the tests
// of the trial inside the image, with file systems that are soon full: one pair
// of majors by chance, all of them with PGBATON_SOAK. Pairs that the packages
// cannot upgrade are left out: every table would be found.
func TestTheSchemaTrialFindsWhatTheRestoreRefusesAndTouchesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	tests := testbed.RealTests(ctx, t, t.TempDir(), "../upgrade/inplace")
	pairs := []string{"15to17", "15to18"}
	if ok, why := testbed.Upgradable(t, 17, 18); ok {
		pairs = append(pairs, "17to18")
	} else {
		t.Run("17to18", func(t *testing.T) { t.Skip(why) })
	}
	if !testbed.Soak() {
		pairs = pairs[testbed.Seed(t).IntN(len(pairs)):][:1]
	}
	only := "^TestRealA.*Trial/^(" + strings.Join(pairs, "|") + ")$"
	out, err := testbed.Docker(
		ctx, "run", "--rm", "--label", testbed.Label+"=1", "--entrypoint", "/inplace.test",
		"-v", tests+":/inplace.test:ro", "--tmpfs", "/tmp:size=3g", "--tmpfs", "/small:size=400m",
		"--tmpfs", "/few:size=600m,nr_inodes=1700", ours(18), "-test.v", "-test.timeout=25m", "-test.run", only,
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range pairs {
		if !strings.Contains(out, "--- PASS: TestRealATrialWithoutFilesLeftSaysSo/"+pair) {
			t.Errorf("nothing was tested from %s:\n%s", pair, out)
		}
	}
	if strings.Contains(out, "--- SKIP") {
		t.Errorf("something was skipped:\n%s", out)
	}
}
