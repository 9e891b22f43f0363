package inplace

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// restoreOutput reads what pg_restore --verbose prints, line by line: what it
// does, and what went wrong in the end.
type restoreOutput struct {
	restored func() // an entry was begun
	part     []byte // of a line
	failed   bool   // the failure begins here
	words    strings.Builder
}

// maxFailure is how much of a failure is kept: the command in it can be long.
const maxFailure = 64 << 10

func (o *restoreOutput) Write(p []byte) (int, error) {
	for _, c := range p {
		if c != '\n' {
			o.part = append(o.part, c)
			continue
		}
		o.line(string(o.part))
		o.part = o.part[:0]
	}
	return len(p), nil
}

func (o *restoreOutput) line(s string) {
	switch {
	case o.failed:
	case strings.HasPrefix(s, "pg_restore: while "), strings.HasPrefix(s, "pg_restore: error: "):
		o.failed = true
	case strings.HasPrefix(s, "pg_restore: creating "):
		o.restored()
		return
	default:
		return
	}
	if o.words.Len() < maxFailure {
		o.words.WriteString(s + "\n")
	}
}

// trialFailure is what could not be restored.
type trialFailure struct {
	Database   string // empty: roles and tablespaces
	Kind       string // VIEW, FUNCTION, …; empty where it is not an object
	Object     string // its name and owner
	Whole      string // its kind and name, as the old server says it; may be empty
	Class, OID uint32 // of the object in the old cluster
	Detail     string // the server's words
}

// tocEntry is how pg_restore names what it was at (warn_or_exit_horribly in
// pg_backup_archiver.c): dump id, class, oid, then kind, name and owner, which
// only blanks separate.
var tocEntry = regexp.MustCompile(`(?m)^pg_restore: from TOC entry \d+; (\d+) (\d+) (.*)$`)

// kindWords are kinds of two or more words; others have one (pg_dump.c).
var kindWords = []string{
	"MATERIALIZED VIEW DATA", "MATERIALIZED VIEW", "FOREIGN TABLE", "TABLE ATTACH", "TABLE DATA", "INDEX ATTACH", "SEQUENCE OWNED BY", "SEQUENCE SET",
	"FK CONSTRAINT", "CHECK CONSTRAINT", "EVENT TRIGGER", "ROW SECURITY", "OPERATOR CLASS", "OPERATOR FAMILY", "ACCESS METHOD",
	"DEFAULT ACL", "BLOB METADATA", "BLOB COMMENTS", "DATABASE PROPERTIES", "PROCEDURAL LANGUAGE", "FOREIGN DATA WRAPPER", "USER MAPPING", "SHELL TYPE",
	"PUBLICATION TABLES IN SCHEMA", "PUBLICATION TABLE", "SUBSCRIPTION TABLE", "STATISTICS DATA", "SECURITY LABEL",
	"TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE",
}

func (o *restoreOutput) failure(db string, err error) trialFailure {
	if len(o.part) > 0 {
		o.line(string(o.part))
		o.part = nil
	}
	text := o.words.String()
	f := trialFailure{Database: db}
	if m := tocEntry.FindStringSubmatch(text); m != nil {
		f.Class, f.OID = number(m[1]), number(m[2])
		f.Kind, f.Object = splitEntry(m[3])
	}
	f.Detail = serverWords(text)
	if f.Detail == "" {
		f.Detail = err.Error()
	}
	return f
}

func number(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// splitEntry takes the kind off; the owner cannot be told from the name.
func splitEntry(s string) (kind, rest string) {
	for _, k := range kindWords {
		if r, ok := strings.CutPrefix(s, k+" "); ok {
			return k, r
		}
	}
	kind, rest, _ = strings.Cut(s, " ")
	return kind, rest
}

// serverWords is the message without pg_restore's own words and without the
// command, which may be long.
func serverWords(text string) string {
	_, msg, ok := strings.Cut("\n"+text, "\npg_restore: error: ")
	if !ok {
		return ""
	}
	msg, _, _ = strings.Cut(msg, "\nCommand was: ")
	msg = strings.TrimPrefix(msg, "could not execute query: ")
	return strings.TrimSpace(strings.ReplaceAll(msg, "\npg_restore: detail: ", "\n"))
}

// psqlPlace is where psql says that it was: "psql:FILE:LINE: ".
var psqlPlace = regexp.MustCompile(`(?m)^psql:[^\n]*?:\d+: `)

// globalsFailure is a failure with roles or tablespaces.
func globalsFailure(printed string, err error) trialFailure {
	printed = strings.TrimSpace(psqlPlace.ReplaceAllString(printed, ""))
	if len(printed) > maxFailure {
		printed = printed[len(printed)-maxFailure:]
	}
	if printed == "" {
		printed = err.Error()
	}
	return trialFailure{Detail: printed}
}

// dumpError is a dump that was not made: pg_upgrade would not make it either.
type dumpError struct {
	Database string
	Err      error
}

func (e *dumpError) Error() string {
	return fmt.Sprintf("dump the schema of database %q: %v", e.Database, e.Err)
}

func (e *dumpError) Unwrap() error { return e.Err }
