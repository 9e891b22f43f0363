package config

import (
	"fmt"
	"strings"
)

// Reference returns docs/configuration.md. A test compares the file with it;
// `go test ./internal/config -update` writes it anew.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("| variable | key in the file | default | accepts | meaning |\n|---|---|---|---|---|\n")
	for _, s := range table {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", envCell(s), keyCell(s), defaultCell(s), s.Kind.Accepts, s.Meaning)
	}
	b.WriteString(referenceRules)
	b.WriteString("```yaml\n" + exampleYAML() + "```\n")
	b.WriteString(referenceOfficial)
	return b.String()
}

// envCell names a setting's variables.
func envCell(s Setting) string {
	if s.Secret {
		return code(s.Env) + " or " + code(s.FileEnv())
	}
	return code(s.Env)
}

// keyCell names a setting's keys in the YAML file.
func keyCell(s Setting) string {
	switch {
	case s.EnvOnly:
		return "(none)"
	case s.Secret:
		return code(s.Name) + " or " + code(s.fileName())
	}
	return code(s.Name)
}

// defaultCell says what holds where nothing is set.
func defaultCell(s Setting) string {
	if s.Default == "" {
		return s.DefaultText
	}
	return code(s.Default)
}

// code is text in Markdown's code style.
func code(text string) string { return "`" + text + "`" }

// exampleYAML is a file with every key, at its default where there is one.
func exampleYAML() string {
	var b strings.Builder
	for _, s := range table {
		key, text := s.Name, orElse(s.Default, s.Example)
		switch {
		case s.EnvOnly:
			continue
		case s.Secret:
			key = s.fileName()
		}
		fmt.Fprintf(&b, "%s: %q\n", key, text)
	}
	return b.String()
}

const referenceHead = `# Configuration

<!-- Generated from the table of settings in internal/config. Change it there, then: go test ./internal/config -update -->

pgbaton has settings of its own, ` + "`PGBATON_*`" + `, and takes the variables of the official
` + "`postgres`" + ` image, ` + "`POSTGRES_*`" + `, as that image does. PostgreSQL's own settings stay
where they are: in ` + "`postgresql.conf`" + ` and on the command line behind ` + "`postgres`" + `.

` + "`pgbaton config print`" + ` shows the value in effect of each setting and where it came
from; ` + "`pgbaton config check`" + ` reads them and does nothing else. What a refused setting
means for the container, and all exit codes, are in
[exits.md](exits.md).

## Settings of pgbaton

`

const referenceRules = `
- The environment wins over the file, the file over the default. The same setting in
  both is no contradiction.
- An empty variable, and an empty value in the file, count as not set.
- A value that is not accepted is refused at start, before anything is touched. So is
  an unknown key in the file. An unknown ` + "`PGBATON_*`" + ` variable is warned of and ignored;
  those that Docker links and Kubernetes services make (` + "`PGBATON_PORT=tcp://…`" + ` and the
  like) are ignored without a word.
- Sizes are written as in ` + "`postgresql.conf`" + `: 1kB is 1024 bytes. Durations need a unit:
  ` + "`500ms`, `10s`, `2m`, `1h`, `1m30s`" + `.
- A secret is set either directly or by a file, not by both; a secret's file is read
  without the line ends at its end. Its value appears in no log, error or answer, and
  no ` + "`PGBATON_*`" + ` variable reaches postgres or an init script.

Refused together:

| this | with this | because |
|---|---|---|
| ` + "`PGBATON_TOKEN`" + ` | ` + "`PGBATON_TOKEN_FILE`" + ` | only one can be meant; the same for ` + "`token` and `token_file`" + ` in the file |
| ` + "`PGBATON_LISTEN`" + ` | ` + "`PGPORT`" + ` (or its default 5432) | the same port: the server could not listen |
| ` + "`PGBATON_CONTROL_DIR`" + ` | ` + "`PGBATON_VOLUME`, `PGDATA`" + ` | inside them, whoever has postgres's uid could replace what is in it |
| ` + "`PGBATON_HOOKS`" + ` | ` + "`PGBATON_VOLUME`, `PGDATA`" + ` | hooks run as root; inside them they could be postgres's |
| ` + "`PGBATON_TLS_CERT`" + ` | no ` + "`PGBATON_TLS_KEY`" + `, and the other way round | neither is of use alone |
| ` + "`PGBATON_TLS_CA`" + ` | no ` + "`PGBATON_TLS_CERT`" + ` | certificates are shown over TLS only |
| ` + "`PGBATON_PEERS`, `PGBATON_TLS_CERT`" + ` | no ` + "`PGBATON_TLS_CA`" + ` | peers' certificates could not be verified |
| ` + "`PGBATON_PEERS`" + ` | no ` + "`PGBATON_TOKEN`" + ` and no ` + "`PGBATON_TLS_CA`" + ` | whoever reaches the port could change roles |
| ` + "`PGBATON_PEERS`" + ` | no ` + "`PGBATON_REPLICATION_PASSWORD`" + ` | standbys could not connect, or anybody could |
| ` + "`PGBATON_PEERS`" + ` | ` + "`PGBATON_LISTEN=off`" + ` | peers could not ask this node |
| ` + "`PGBATON_PEERS`" + ` | ` + "`PGBATON_REPLICATION_USER`" + ` that is ` + "`POSTGRES_USER`" + ` | the superuser would get the password of replication |
| ` + "`PGBATON_BOOTSTRAP`" + ` | ` + "`PGBATON_NODES`" + ` that lack it | nobody may make the cluster |
| ` + "`PGBATON_ETCD`" + ` | ` + "`PGBATON_ON_SILENCE=continue`, `both`" + ` | with an arbiter silence is no choice of the user's |
| ` + "`PGBATON_ETCD`" + ` | no ` + "`PGBATON_PEERS`" + ` | a node alone has no role to decide |
| ` + "`PGBATON_ETCD_USER`" + ` | no ` + "`PGBATON_ETCD_PASSWORD`" + `, and the other way round | neither is of use alone |
| ` + "`PGBATON_ETCD_USER`, `_PASSWORD`, `_CA`" + ` | no ` + "`PGBATON_ETCD`" + ` | there is nothing to log in to |
| ` + "`PGBATON_ETCD_CA`" + ` | ` + "`PGBATON_ETCD`" + ` that is http | nothing would be verified |
| ` + "`PGBATON_VIP`, `PGBATON_BOOTSTRAP`, `PGBATON_NODES`" + ` | no ` + "`PGBATON_PEERS`" + ` | a node alone has no roles to move, and makes its cluster anyway |

## The file

The file is one flat YAML mapping. Values stand as they would in the environment;
` + "`binaries`, `peers` and `nodes`" + ` may be lists too. Every key, at its default where there is one:

`

const referenceOfficial = `
## Variables of the official image

Read at every start, as root where the container is root, so that only root needs to
be able to read a secret's file. A file that cannot be read ends the start even on an
initialised data directory.

| variable | default | meaning |
|---|---|---|
| ` + "`POSTGRES_PASSWORD`" + `, ` + "`POSTGRES_PASSWORD_FILE`" + ` | none | Password of the superuser that an empty data directory gets. Needed for that, unless the method is ` + "`trust`" + `. |
| ` + "`POSTGRES_USER`" + `, ` + "`POSTGRES_USER_FILE`" + ` | ` + "`postgres`" + ` | Name of that superuser. |
| ` + "`POSTGRES_DB`" + `, ` + "`POSTGRES_DB_FILE`" + ` | the user's name | Database that is made and that init scripts run in. |
| ` + "`POSTGRES_INITDB_ARGS`" + `, ` + "`POSTGRES_INITDB_ARGS_FILE`" + ` | none | Arguments for initdb, split as a shell does: quotes count. |
| ` + "`POSTGRES_INITDB_WALDIR`" + ` | inside PGDATA | Directory for the write-ahead log. |
| ` + "`POSTGRES_HOST_AUTH_METHOD`" + ` | what ` + "`password_encryption`" + ` says | Method in the line ` + "`host all all all`" + ` that is appended to a new ` + "`pg_hba.conf`" + `. |
| ` + "`PGDATA`" + ` | see [architecture.md](architecture.md) | The data directory. |
| ` + "`PG_MAJOR`" + ` | the image's | Major version for an empty volume. A cluster that exists is served whatever this says. |
| ` + "`PGPORT`" + ` | 5432 | Port of PostgreSQL. |
| ` + "`PGUSER`, `PGPASSWORD`" + ` | as the superuser | For the steps against the temporary server. |

Of a variable and its ` + "`_FILE`" + ` only one may be set. Newlines at the end of a file do not
count, and NUL bytes are dropped, as bash does. Init scripts see the four variables
that have a ` + "`_FILE`" + ` with their values, and no ` + "`_FILE`" + `; the server that serves afterwards
sees no ` + "`POSTGRES_*`" + ` at all, as in the official image since July 2026.
`
