package testbed

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Contents is what a cluster holds, as text that is the same for the same
// contents whatever the major: sections (globals, schema of a database, data
// of a database), each a list of lines.
type Contents map[string][]string

// Snapshot describes everything in a running server: a dump of the globals
// and of each database's schema by one major's programs, and one line for the
// rows of each table and materialized view, each sequence and each large
// object. It checks every B-tree with amcheck where that is installed, and
// names collations whose version has changed and indexes that are not valid.
// Tables of a Load are left out.
func Snapshot(c *Container, a Access) Contents {
	c.tb.Helper()
	return snapshot(c, a)
}

// SnapshotRows is Snapshot without the schemas, which take longest.
func SnapshotRows(c *Container, a Access) Contents {
	c.tb.Helper()
	return snapshot(c, a, "ROWS_ONLY=1")
}

func snapshot(c *Container, a Access, more ...string) Contents {
	c.tb.Helper()
	script, err := contentsFiles.ReadFile("contents/snapshot.sh")
	c.must(err, "read the snapshot's script for")
	sql, err := contentsFiles.ReadFile("contents/snapshot.sql")
	c.must(err, "read the snapshot's script for")
	env := append(a.env(c), "SNAPSHOT="+string(sql))
	r := c.Do(Command{
		Args: []string{"bash", "-s"}, Stdin: newest + string(script),
		User: a.As, Env: append(env, more...), Timeout: 5 * time.Minute,
	})
	if r.Code != 0 {
		c.tb.Fatalf("testbed: snapshot of %s: exit code %d\n%s", c.Name, r.Code, lastLines(r.Stderr, 20))
	}
	return readContents(r.Stdout)
}

var (
	dumpObject = regexp.MustCompile(`^-- (?:Data for )?Name: (.*?); Type: ([^;]*);`)
	// What says which program and server made the dump, and a token that is
	// another one each time.
	dumpNoise = regexp.MustCompile(`^(--|\\(un)?restrict |SET |SELECT pg_catalog\.set_config|\s*$)`)
)

// readContents reads what snapshot.sh prints. Lines of a dump get the object
// they belong to in front, so that a difference says where it is.
func readContents(text string) Contents {
	found := Contents{}
	section, object := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "=== "); ok {
			section, object = name, ""
			found[section] = nil
			continue
		}
		if m := dumpObject.FindStringSubmatch(line); m != nil {
			object = strings.ToLower(m[2]) + " " + m[1] + ": "
		}
		if strings.HasPrefix(section, "data of ") {
			found[section] = append(found[section], line)
		} else if !dumpNoise.MatchString(line) {
			found[section] = append(found[section], object+normalise(object, line))
		}
	}
	return found
}

// Compare returns what differs, one line each, with a - for what is only in
// before and a + for what is only in after; empty if nothing does. The order
// of objects is none of their contents.
func Compare(before, after Contents) string {
	var b strings.Builder
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, is := only(before[name], after[name]), only(after[name], before[name])
		if len(was)+len(is) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", name)
		for _, line := range was {
			fmt.Fprintf(&b, "  - %s\n", line)
		}
		for _, line := range is {
			fmt.Fprintf(&b, "  + %s\n", line)
		}
	}
	return b.String()
}

// only returns the lines of a that b has not, or not as often.
func only(a, b []string) []string {
	count := map[string]int{}
	for _, line := range b {
		count[line]++
	}
	var left []string
	for _, line := range a {
		if count[line]--; count[line] < 0 {
			left = append(left, line)
		}
	}
	return left
}

var (
	// From 16 on a grant of a role has options of its own and always names its
	// grantor (pg_dumpall.c).
	grantOptions = regexp.MustCompile(`^(GRANT .* TO .*?)( WITH ADMIN OPTION)?(?:,| WITH) INHERIT TRUE GRANTED BY .*;$`)
	// From 16 on a view's columns have their table's name only where they need
	// it (ruleutils.c).
	qualifier = regexp.MustCompile(`(?:"(?:[^"]|"")+"|\b[a-z_][a-z0-9_]*)\.`)
)

// normalise takes out of a line what only the server's major puts there.
func normalise(object, line string) string {
	if m := grantOptions.FindStringSubmatch(line); m != nil {
		return m[1] + m[2] + ";"
	}
	if strings.Contains(object, "view ") && strings.HasPrefix(line, " ") {
		return qualifier.ReplaceAllString(line, "")
	}
	return line
}
