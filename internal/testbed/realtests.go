package testbed

import (
	"context"
	"path/filepath"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// RealTests builds the tests of a package, those that need PostgreSQL's
// programs and root among them (tag realpg), into a static program that runs
// inside the image, where both are. It returns the program's path.
func RealTests(ctx context.Context, tb TB, dir, pkg string) string {
	tb.Helper()
	binary := filepath.Join(dir, "real.test")
	build := proc.Spec{
		Args: []string{"env", "CGO_ENABLED=0", "go", "test", "-c", "-tags", "realpg", "-o", binary, pkg},
	}
	if _, err := proc.Output(ctx, build); err != nil {
		tb.Fatalf("build the tests of %s: %v", pkg, err)
	}
	return binary
}
