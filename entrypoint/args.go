package entrypoint

import "strings"

// helpFlags make postgres print something and exit; the official entrypoint
// runs it without any set-up then.
var helpFlags = map[string]bool{
	"-?": true, "--help": true, "--describe-config": true, "-V": true, "--version": true,
}

// withPostgres puts "postgres" before arguments that begin with a flag, and
// makes no arguments at all mean a server.
func withPostgres(args []string) []string {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return append([]string{"postgres"}, args...)
	}
	return args
}

// serves reports whether the arguments ask for a server. Anything else is a
// command that runs under Init.
func serves(args []string) bool {
	args = withPostgres(args)
	if args[0] != "postgres" {
		return false
	}
	for _, a := range args[1:] {
		if helpFlags[a] {
			return false
		}
	}
	return !singleUser(args)
}

// singleUser reports postgres's modes without a postmaster: they must be the
// first argument (src/backend/main/main.c), run in the foreground and end.
func singleUser(args []string) bool {
	if len(args) < 2 {
		return false
	}
	switch args[1] {
	case "--single", "--boot", "--check":
		return true
	}
	return false
}
