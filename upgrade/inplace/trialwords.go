package inplace

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// releases are the minor releases on both sides: 17.12 and 18.6.
type releases struct{ Old, New string }

// releases takes the distribution's own words off server_version; a part that
// is not known is the major.
func (t *trial) releases() releases {
	old, _, _ := strings.Cut(t.facts.Server.VersionText, " ")
	r := releases{Old: old, New: t.facts.NewVersion}
	if r.Old == "" {
		r.Old = fmt.Sprint(t.Old.Major)
	}
	if r.New == "" {
		r.New = fmt.Sprint(t.New.Major)
	}
	return r
}

// newMajor is what 18.6 is a release of; of 19beta1 it is 19.
func (r releases) newMajor() string {
	return r.New[:len(r.New)-len(strings.TrimLeft(r.New, "0123456789"))]
}

// finding is the failure in words.
func (f trialFailure) finding(r releases) node.Finding {
	res := node.Finding{Level: node.Refuse, Code: "schema-trial", Detail: f.Detail}
	switch {
	case f.Database == "":
		res.Text = fmt.Sprintf("the roles, their settings or the tablespaces cannot be restored in PostgreSQL %s", r.newMajor())
		res.Hint = "change what the server complains about, and ask for the upgrade again"
	case f.Object == "":
		res.Text = fmt.Sprintf("database %q: its schema cannot be restored in PostgreSQL %s", f.Database, r.newMajor())
		res.Hint = "change what the server complains about, and ask for the upgrade again"
	default:
		res.Text = fmt.Sprintf("database %q: %s cannot be restored in PostgreSQL %s", f.Database, f.name(), r.newMajor())
		res.Hint = fmt.Sprintf("%s in database %q before the upgrade, then ask for the upgrade again: it stops at the first object of each database, there may be more", f.remedy(), f.Database)
	}
	if option := unknownOption(f.Detail); option != "" {
		res.Text += fmt.Sprintf(": PostgreSQL %s does not know the option %q", r.New, option)
		res.Hint = optionHint(option, r)
	}
	return res
}

// unrecognized is how a server refuses an option of a column, a table, an index
// or a tablespace (parseRelOptions in reloptions.c). pg_restore passes no error
// codes on, and messages are not translated (lc_messages=C).
var unrecognized = regexp.MustCompile(`(?m)^ERROR: +unrecognized parameter "([^"\n]+)"$`)

// unknownOption names the option that the new server does not know; empty if the
// failure is another one.
func unknownOption(detail string) string {
	if m := unrecognized.FindStringSubmatch(detail); m != nil {
		return m[1]
	}
	return ""
}

// optionHint never says to drop or change an object. A minor release can mark
// objects for itself (17.12 marks columns with pg_attver), and only a release
// of the new major that knows the mark can restore them.
func optionHint(option string, r releases) string {
	return fmt.Sprintf("the option %q of a column or table was set by PostgreSQL %s (or by an extension) and is unknown to PostgreSQL %s; "+
		"nothing in the database is wrong or has to be changed: use programs of a later minor release of PostgreSQL %s that knows it "+
		"(for an extension's option, the extension for that major), then ask for the upgrade again; nothing was stopped",
		option, r.Old, r.New, r.newMajor())
}

// name is what the old server calls the object, else pg_restore's words.
func (f trialFailure) name() string {
	if f.Whole != "" {
		return f.Whole
	}
	return strings.ToLower(f.Kind) + " " + f.Object
}

func (f trialFailure) remedy() string {
	switch f.Kind {
	case "VIEW", "MATERIALIZED VIEW", "RULE":
		return "drop it and make it again afterwards, or change it to what both versions have,"
	case "FUNCTION", "PROCEDURE", "AGGREGATE", "OPERATOR", "OPERATOR CLASS", "TYPE", "CAST", "EXTENSION":
		return "drop or change it (where it belongs to an extension: update or drop that, or install the extension for the new version)"
	case "ACL", "DEFAULT ACL", "COMMENT", "SECURITY LABEL":
		return "revoke or remove it"
	}
	return "drop or change it"
}
