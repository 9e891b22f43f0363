package upgrade

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// ServerLog is the name under which JudgeCheck gets the log of pg_upgrade's servers.
const ServerLog = "pg_upgrade_server.log"

// maxDetail bounds a server's own words in a finding.
const maxDetail = 4000

// reports are the files in which pg_upgrade lists what stands against an
// upgrade, by their names in pg_upgrade/check.c, function.c and version.c.
var reports = map[string]struct{ code, hint string }{
	"tables_using_reg.txt":                   {"reg-columns", "change each column to text or oid, or drop it: pg_upgrade does not keep the numbers that they hold"},
	"tables_using_composite.txt":             {"system-composite-columns", "change each column to another type, or drop it"},
	"tables_using_aclitem.txt":               {"aclitem-columns", "change each column to text, and back afterwards: the type changed its format in 16"},
	"tables_using_line.txt":                  {"line-columns", "change each column to text, and back afterwards"},
	"tables_using_unknown.txt":               {"unknown-columns", "change each column to text"},
	"tables_using_sql_identifier.txt":        {"sql-identifier-columns", "change each column to text or name"},
	"tables_using_abstime.txt":               {"removed-type-columns", "change each column to timestamptz"},
	"tables_using_reltime.txt":               {"removed-type-columns", "change each column to interval"},
	"tables_using_tinterval.txt":             {"removed-type-columns", "change each column to tstzrange"},
	"loadable_libraries.txt":                 {"library-missing", "install the package of the extension for the new major, or drop what uses the library; one that must be preloaded and is not known here: drop its extension for the time of the upgrade"},
	"databases_with_datallowconn_false.txt":  {"database-closed", "ALTER DATABASE … ALLOW_CONNECTIONS true for the time of the upgrade, or drop it"},
	"databases_cannot_connect_to.txt":        {"database-closed", "ALTER DATABASE … ALLOW_CONNECTIONS true for the time of the upgrade, or drop it"},
	"databases_invalid.txt":                  {"database-invalid", "DROP DATABASE each"},
	"invalid_logical_slots.txt":              {"slot-invalid", "drop the slots, or let their consumers read the rest"},
	"subs_invalid.txt":                       {"subscription-state", "wait until the first copy of each subscribed table is done (pg_subscription_rel.srsubstate is r), or drop the subscription"},
	"postfix_ops.txt":                        {"postfix-operators", "replace each operator by a prefix one or a function, and drop it"},
	"incompatible_polymorphics.txt":          {"incompatible-polymorphics", "drop each, and make it again after the upgrade with anycompatiblearray for anyarray"},
	"encoding_conversions.txt":               {"encoding-conversions", "drop each, and make it again after the upgrade"},
	"tables_with_oids.txt":                   {"tables-with-oids", "ALTER TABLE … SET WITHOUT OIDS for each"},
	"not_null_inconsistent_columns.txt":      {"not-null-inheritance", "ALTER TABLE … ALTER COLUMN … SET NOT NULL for each, as in the parent"},
	"contrib_isn_and_int8_pass_by_value.txt": {"isn-int8", "dump these databases, drop them, and restore them after the upgrade"},
	"pg_role_prefix.txt":                     {"role-prefix", "rename the roles: names that begin with pg_ are the system's"},
	"disallowed_output_plugins.txt":          {"output-plugin-disallowed", "allow the plugins in output_plugin_libraries, or drop the slots"},
	"unicode_dependent_rels.txt":             {"unicode-dependent", "rebuild these after the upgrade: Unicode's rules differ"},
}

// messages are reasons that have no report, by a part of pg_upgrade's text:
// there are no codes to go by.
var messages = []struct{ part, code, hint string }{
	{"prepared transactions", "prepared-transactions", "COMMIT PREPARED or ROLLBACK PREPARED each"},
	{"template0 must not allow", "template0-open", "ALTER DATABASE template0 ALLOW_CONNECTIONS false"},
	{"invalid database", "database-invalid", "DROP DATABASE"},
	{"must allow connections", "database-closed", "ALTER DATABASE … ALLOW_CONNECTIONS true for the time of the upgrade, or drop it"},
	{"tablespace directory already exists", "tablespace-leftover", "it belongs to an earlier attempt or another cluster: look, and move it away"},
	{"is not the install user", "superuser-limited", "ALTER ROLE … RESET role for the role that initdb made: it must not become another at login"},
	{"could not clone", "mode-impossible", "ask for mode link or copy"},
	{"hard link", "mode-impossible", "ask for mode copy"},
	{"could not connect", "pg-upgrade-connect", "see PostgreSQL's own words"},
	{"could not load library", "library-missing", "install the library's package for the new major"},
	{"wal_level", "slots-settings", "see PostgreSQL's own words"},
}

// checkLine is a phase with its result: "Checking for reg* data types    fatal".
var checkLine = regexp.MustCompile(`^((?:Checking|Performing|Finding|Creating)\b.*?)(?:\s+(?:ok|fatal|failed))?$`)

// JudgeCheck turns what a failed `pg_upgrade --check` printed, and the reports
// that it left, into refusals: one for each report, or one for what it said.
func JudgeCheck(output string, files map[string]string) []node.Finding {
	var res []node.Finding
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name == ServerLog {
			continue
		}
		known, ok := reports[name]
		if !ok {
			known.code, known.hint = "pg-upgrade-check", "do as PostgreSQL's own words say, then ask again"
		}
		bad := refuse(known.code, known.hint, "%s", saidAbout(output, name))
		bad.Detail = shorten(strings.TrimSpace(files[name]))
		res = append(res, bad)
	}
	if len(res) > 0 {
		return res
	}
	bad := refuse("pg-upgrade-check", "do as PostgreSQL's own words say, then ask again", "pg_upgrade --check refuses: %s", firstLine(output))
	for _, m := range messages {
		if strings.Contains(output, m.part) {
			bad.Code, bad.Hint = m.code, m.hint
			break
		}
	}
	bad.Detail = strings.TrimSpace(output)
	if strings.Contains(output, "could not connect") || strings.Contains(output, "pg_ctl") {
		bad.Detail += "\n" + lastOf(files[ServerLog], maxDetail/2)
	}
	bad.Detail = shorten(strings.TrimSpace(bad.Detail))
	return []node.Finding{bad}
}

// saidAbout is the paragraph of pg_upgrade's text that ends with a report's name,
// as one line, without the name of a file that will be gone.
func saidAbout(output, report string) string {
	var paragraph, before []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		switch {
		case path.Base(line) == report:
			if len(paragraph) == 0 {
				paragraph = before
			}
			return "pg_upgrade --check refuses: " + strings.Join(paragraph, " ")
		case line == "":
			if len(paragraph) > 0 {
				before, paragraph = paragraph, nil
			}
		case checkLine.MatchString(line), strings.HasPrefix(line, "failed check:"), line == "Data type checks failed:":
			paragraph = nil
		case strings.HasSuffix(line, "is in the file:"):
			// "A list of the problem columns is in the file:", or the end of a sentence.
			whole := strings.Join(append(paragraph, line), " ")
			if i := strings.LastIndex(whole, ". "); i >= 0 {
				paragraph = []string{whole[:i+1]}
			}
		default:
			paragraph = append(paragraph, line)
		}
	}
	return "pg_upgrade --check refuses, see " + report
}

// firstLine is the first line that is no phase's.
func firstLine(output string) string {
	first := ""
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if m := checkLine.FindStringSubmatch(line); m != nil {
			first = m[1]
			continue
		}
		if line != "" && line != "Failure, exiting" {
			return line
		}
	}
	return first
}

func shorten(s string) string {
	if len(s) <= maxDetail {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetail], "") + "…"
}

func lastOf(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + strings.ToValidUTF8(s[len(s)-n:], "")
}
