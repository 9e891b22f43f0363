package testbed

import (
	"bytes"
	"context"
	"fmt"
	"os/exec" //nolint:depguard // the testbed runs docker and mkfs on the host, not inside the product
	"strings"
	"time"
)

// run runs a program of the host and returns what it printed. The error
// carries the program's own words.
func run(ctx context.Context, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	var out, errout bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errout
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(errout.String() + out.String())
		return out.String(), fmt.Errorf("run %s %s: %w: %s", name, strings.Join(args, " "), err, said)
	}
	return out.String(), nil
}

// installed reports whether the host has a program.
func installed(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// Docker runs the docker command line, for what is rare in tests: building,
// `docker run` as a user types it.
func Docker(ctx context.Context, args ...string) (string, error) {
	return run(ctx, "docker", args...)
}
