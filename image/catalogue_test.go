package image_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestMajorsAreAvailableOnceTheirRealProgramsAreWholeAndRun runs the tests of
// entrypoint that need PostgreSQL's programs and root inside the image.
func TestMajorsAreAvailableOnceTheirRealProgramsAreWholeAndRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	tests := testbed.RealTests(ctx, t, t.TempDir(), "../entrypoint")
	out, err := testbed.Docker(
		ctx, "run", "--rm", "--label", testbed.Label+"=1", "--entrypoint", "/entrypoint.test",
		"-v", tests+":/entrypoint.test:ro", "--tmpfs", "/tmp:size=1g,exec", ours(18), "-test.v", "-test.run", "^TestReal",
	)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out, "--- PASS: TestReal"); n != 3 || strings.Contains(out, "--- SKIP") {
		t.Errorf("%d tests passed and not 3:\n%s", n, out)
	}
}
