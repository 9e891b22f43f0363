package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// parseEnviron turns NAME=value entries into a map. Empty values are left out,
// because empty means unset here as it does in the official image. Of an entry
// given twice the last one counts, as in bash and in os/exec.
func parseEnviron(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, found := strings.Cut(entry, "=")
		switch {
		case !found || name == "":
		case value == "":
			delete(vars, name)
		default:
			vars[name] = value
		}
	}
	return vars
}

// unknownVariables warns of each PGBATON_* variable that is no setting, with
// the nearest setting as a hint. Its value is not shown: it may be a secret
// under a misspelt name.
func unknownVariables(vars map[string]string) []string {
	known := knownVariables()
	var warnings []string
	for name, value := range vars {
		if !strings.HasPrefix(name, prefix) || slices.Contains(known, name) || injected(name, value) {
			continue
		}
		warnings = append(warnings, unknownVariable(name, known))
	}
	slices.Sort(warnings) // the order of a map would differ from start to start
	return warnings
}

// unknownVariable is the warning for one variable.
func unknownVariable(name string, known []string) string {
	warning := showName(name) + " is not a setting of pgbaton and is ignored"
	if base, isFile := strings.CutSuffix(name, "_FILE"); isFile && slices.Contains(known, base) {
		return warning + "; only secrets are read from a file, set " + base + " itself"
	}
	return warning + didYouMean(name, known)
}

// knownVariables lists the names in the environment that mean something.
func knownVariables() []string {
	var names []string
	for _, s := range table {
		names = append(names, s.Env)
		if s.Secret {
			names = append(names, s.FileEnv())
		}
	}
	return names
}

// A container that is linked to one called pgbaton (or pgbaton-1), and a pod in
// the namespace of a Kubernetes service of such a name, get variables that
// nobody wrote:
//
//	PGBATON_PORT=tcp://10.0.0.7:8008      PGBATON_PORT_8008_TCP_ADDR=10.0.0.7
//	PGBATON_SERVICE_HOST=10.0.0.7         PGBATON_SERVICE_PORT_METRICS=8008
//	PGBATON_NAME=/client/pgbaton          PGBATON_ENV_PG_MAJOR=17
//
// Warning of them would only train people to ignore the warning.
var (
	injectedName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^PGBATON_([A-Z0-9_]+_)?(PORT_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO|START|END|PORT_START|PORT_END))?|SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|ENV_.+)$`)
	})
	injectedPort = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// injected reports whether Docker or Kubernetes made the variable.
func injected(name, value string) bool {
	switch {
	case strings.HasSuffix(name, "_PORT") && injectedPort.MatchString(value):
		return true
	case strings.HasSuffix(name, "_NAME") && strings.HasPrefix(value, "/"):
		return true
	}
	return injectedName().MatchString(name)
}

// plainName is a name that can be shown as it is.
var plainName = word{80, regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)}

// showName makes a name fit for one line of output.
func showName(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return fmt.Sprintf("%.80q", name)
}
