// Command sweep removes the containers, volumes and loop mounts that killed
// tests left behind; it spares those of tests that still run.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	gone, err := testbed.Sweep(ctx)
	for _, what := range gone {
		fmt.Println("removed", what)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sweep:", err)
		os.Exit(1)
	}
}
