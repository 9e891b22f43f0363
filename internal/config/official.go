package config

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The defaults of the official image.
const (
	defaultUser = "postgres"
	defaultPort = "5432"
)

// Official holds the variables of the official postgres image, read by the
// rules of its shell entrypoint, and those of PostgreSQL that the entrypoint
// looks at. https://github.com/docker-library/postgres
type Official struct {
	Password       Secret // POSTGRES_PASSWORD; of the superuser that initdb makes
	User           string // POSTGRES_USER; never empty
	Database       string // POSTGRES_DB; the user's name by default, never empty
	InitdbArgs     string // POSTGRES_INITDB_ARGS; a piece of shell, quotes count
	WalDir         string // POSTGRES_INITDB_WALDIR
	HostAuthMethod string // POSTGRES_HOST_AUTH_METHOD; empty means password_encryption's

	PGData     string // PGDATA as given; may be empty
	Major      int    // PG_MAJOR; 0 means not set
	Port       int    // PGPORT; 5432 by default
	PGUser     string // PGUSER; may be empty
	PGPassword Secret // PGPASSWORD; may be empty
}

// fromFiles are the variables for which the official image also reads NAME_FILE.
var fromFiles = []string{"POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS"}

// LoadOfficial reads the variables. Like the official image it does so at every
// start and while still root: a secret file that cannot be read is an error on
// an initialised data directory too. readFile is os.ReadFile outside of tests.
func LoadOfficial(environ []string, readFile func(path string) ([]byte, error)) (Official, error) {
	vars := parseEnviron(environ)
	values := make(map[string]string, len(fromFiles))
	for _, name := range fromFiles {
		text, err := officialValue(vars, name, readFile)
		if err != nil {
			return Official{}, err
		}
		values[name] = text
	}
	major, err := officialNumber(vars, "PG_MAJOR", "0", 9, 999)
	if err != nil {
		return Official{}, err
	}
	port, err := officialNumber(vars, "PGPORT", defaultPort, 1, 65535)
	if err != nil {
		return Official{}, err
	}
	user := orElse(values["POSTGRES_USER"], defaultUser)
	return Official{
		Password:       Secret(values["POSTGRES_PASSWORD"]),
		User:           user,
		Database:       orElse(values["POSTGRES_DB"], user),
		InitdbArgs:     values["POSTGRES_INITDB_ARGS"],
		WalDir:         vars["POSTGRES_INITDB_WALDIR"],
		HostAuthMethod: vars["POSTGRES_HOST_AUTH_METHOD"],
		PGData:         vars["PGDATA"],
		Major:          major,
		Port:           port,
		PGUser:         vars["PGUSER"],
		PGPassword:     Secret(vars["PGPASSWORD"]),
	}, nil
}

// FileEnv is the official entrypoint's file_env: the value of a variable, or
// the content of the file that NAME_FILE names. Both at once are an error.
func FileEnv(environ []string, name string, readFile func(path string) ([]byte, error)) (string, error) {
	return officialValue(parseEnviron(environ), name, readFile)
}

// officialValue is file_env for one variable.
func officialValue(vars map[string]string, name string, readFile func(string) ([]byte, error)) (string, error) {
	path := vars[name+"_FILE"]
	if vars[name] != "" && path != "" {
		return "", fmt.Errorf("error: both %s and %s_FILE are set (but are exclusive)", name, name)
	}
	if path == "" {
		return vars[name], nil
	}
	content, err := readFile(path)
	if err != nil {
		return "", fmt.Errorf("error: read %s, named by %s_FILE: %w; %s; mount the file or unset the variable", path, name, bare(err), untouched)
	}
	return shellContent(content), nil
}

// shellContent is what bash makes of "$(< file)": NUL bytes are dropped, then
// the newlines at the end. Other white space stays, a carriage return too.
func shellContent(content []byte) string {
	return strings.TrimRight(string(bytes.ReplaceAll(content, []byte{0}, nil)), "\n")
}

// officialNumber reads a variable that is a number from low to high. The
// official image leaves a bad one to PostgreSQL, which fails on it later.
func officialNumber(vars map[string]string, name, fallback string, low, high int) (int, error) {
	text, set := vars[name]
	if !set {
		text = fallback
	}
	number, err := strconv.Atoi(text)
	if set && (err != nil || number < low || number > high) {
		return 0, fmt.Errorf("error: %s is %.80q, which is not a number from %d to %d; %s; correct or unset it", name, text, low, high, untouched)
	}
	return number, nil
}

// orElse returns text, or other if text is empty.
func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// Environ returns the environment for initdb, the temporary server and init
// scripts: the given one without our PGBATON_* and without the _FILE variables,
// and with the values of the four variables exported, empty ones too, as the
// official entrypoint does.
func (o Official) Environ(environ []string) []string {
	out := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, prefix) || slices.Contains(fromFiles, strings.TrimSuffix(name, "_FILE"))
	})
	return append(
		out,
		"POSTGRES_PASSWORD="+o.Password.Reveal(),
		"POSTGRES_USER="+o.User,
		"POSTGRES_DB="+o.Database,
		"POSTGRES_INITDB_ARGS="+o.InitdbArgs,
	)
}

// ServerEnviron returns the environment for the final server: the given one
// without PGBATON_* and without POSTGRES_*. The official image takes the latter
// away since July 2026, since any extension could read the password there
// (https://github.com/docker-library/postgres/pull/1412).
func ServerEnviron(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		return strings.HasPrefix(entry, prefix) || strings.HasPrefix(entry, "POSTGRES_")
	})
}

// noPassword is the error of the official image for an empty data directory
// without a password, word for word, since people look for it; the last
// paragraph is ours.
type noPassword struct{}

// Error returns several lines, to be printed as they are.
func (noPassword) Error() string {
	return `Error: Database is uninitialized and superuser password is not specified.
       You must specify POSTGRES_PASSWORD to a non-empty value for the
       superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".

       You may also use "POSTGRES_HOST_AUTH_METHOD=trust" to allow all
       connections without a password. This is *not* recommended.

       See PostgreSQL documentation about "trust":
       https://www.postgresql.org/docs/current/auth-trust.html

       Nothing was created. POSTGRES_PASSWORD_FILE names a file with the
       password, which no "docker inspect" shows.`
}

// trustWarning is that of the official image, word for word.
const trustWarning = `********************************************************************************
WARNING: POSTGRES_HOST_AUTH_METHOD has been set to "trust". This will allow
         anyone with access to the Postgres port to access your database without
         a password, even if POSTGRES_PASSWORD is set. See PostgreSQL
         documentation about "trust":
         https://www.postgresql.org/docs/current/auth-trust.html
         In Docker's default configuration, this is effectively any other
         container on the same system.

         It is not recommended to use POSTGRES_HOST_AUTH_METHOD=trust. Replace
         it with "-e POSTGRES_PASSWORD=password" instead to set a password in
         "docker run".
********************************************************************************`

// VerifyMinimum checks what initdb needs. It is to be called only before an
// empty data directory is initialised. The warning, several lines or empty, is
// to be printed as it is.
func (o Official) VerifyMinimum() (warning string, err error) {
	trust := o.HostAuthMethod == "trust"
	switch {
	case trust:
		return trustWarning, nil
	case o.Password == "":
		return "", noPassword{}
	}
	return "", nil
}
