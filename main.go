// Command pgbaton is PID 1 of a PostgreSQL container, its supervisor, and the
// command line that operators use. This package parses and wires; the work is
// done elsewhere.
package main

import (
	"os"
	"path/filepath"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() { os.Exit(run(os.Args)) }

// run selects by the name that the program was called by, then by the first
// argument. What PID 1 and its like need comes before anything heavy: the
// command tree is built only for operators.
func run(args []string) int {
	switch name := filepath.Base(args[0]); name {
	case "entrypoint":
		return initProcess(args[1:])
	case "upgrade":
		return execute(append([]string{name}, args[1:]...))
	case "notify":
		return notifyCommand(args[1:])
	}
	if len(args) > 1 {
		if internal, ok := internals[args[1]]; ok {
			return internal(args[2:])
		}
	}
	return execute(args[1:])
}
