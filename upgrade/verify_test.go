package upgrade

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

func aCensus(major int) Census {
	return Census{
		Major: major, Roles: []string{"app", "postgres"}, Tablespaces: map[string]string{"fast": "/fast"},
		Databases: []pg.DatabaseCensus{
			{
				Name: "app", Owner: "app", Encoding: "UTF8", Collate: "C", Ctype: "C", Provider: "c", Connect: true, ConnLimit: -1,
				Extensions: map[string]string{"hstore": "1.4"}, Objects: map[string]int64{"tables": 10, "indexes": 12}, Rows: 5000, Bytes: 400 << 20,
			},
			{Name: "template0", Owner: "postgres", Encoding: "UTF8", Collate: "C", Ctype: "C", Provider: "c", ConnLimit: -1},
		},
	}
}

func TestACensusFindsWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Census)
		level  node.Level // empty: nothing is found
		says   string
	}{
		"the same content is right":        {change: func(*Census) {}},
		"no row estimates are right":       {change: func(c *Census) { c.Databases[0].Rows = 0 }},
		"more than before is right":        {change: func(c *Census) { c.Databases[0].Objects["tables"]++; c.Roles = append(c.Roles, "new") }},
		"a newer extension is right":       {change: func(c *Census) { c.Databases[0].Extensions["hstore"] = "1.8" }},
		"the old major answers":            {func(c *Census) { c.Major = 15 }, node.Refuse, "major 15 answers"},
		"a database is gone":               {func(c *Census) { c.Databases = c.Databases[1:] }, node.Refuse, `database "app" is missing`},
		"template0 is gone":                {func(c *Census) { c.Databases = c.Databases[:1] }, node.Refuse, `database "template0" is missing`},
		"a database lets nobody in":        {func(c *Census) { c.Databases[0].Connect = false }, node.Refuse, "does so no more"},
		"a role is gone":                   {func(c *Census) { c.Roles = c.Roles[1:] }, node.Refuse, `role "app" is missing`},
		"a tablespace is gone":             {func(c *Census) { c.Tablespaces = nil }, node.Refuse, `tablespace "fast" is missing`},
		"a tablespace is elsewhere":        {func(c *Census) { c.Tablespaces["fast"] = "/slow" }, node.Note, "was at /fast and is at /slow"},
		"an extension is gone":             {func(c *Census) { clear(c.Databases[0].Extensions) }, node.Refuse, `extension "hstore" is missing`},
		"another encoding":                 {func(c *Census) { c.Databases[0].Encoding = "LATIN1" }, node.Refuse, "encoding UTF8"},
		"another owner":                    {func(c *Census) { c.Databases[0].Owner = "eve" }, node.Note, `belongs to "eve"`},
		"another locale":                   {func(c *Census) { c.Databases[0].Ctype = "de" }, node.Note, "C/de"},
		"another limit":                    {func(c *Census) { c.Databases[0].ConnLimit = 3 }, node.Note, "limit -1 and has 3"},
		"one table was dropped meanwhile":  {func(c *Census) { c.Databases[0].Objects["tables"]-- }, node.Note, "held 10 tables when they were counted and holds 9"},
		"nearly everything is gone":        {func(c *Census) { clear(c.Databases[0].Objects) }, node.Refuse, "held 22 objects and holds 0"},
		"somebody deleted and vacuumed":    {func(c *Census) { c.Databases[0].Bytes = 100 << 20 }, node.Note, "held 400.0 MB when it was counted and holds 100.0 MB"},
		"a page more or less says nothing": {change: func(c *Census) { c.Databases[0].Bytes -= 8192 }},
	} {
		after := aCensus(17)
		c.change(&after)
		found := CompareCensus(aCensus(15), after)
		switch {
		case c.level == "" && len(found) != 0:
			t.Errorf("%s: %v", name, found)
		case c.level != "" && (len(found) != 1 || found[0].Level != c.level || !strings.Contains(found[0].Text, c.says)):
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestVersionsOfExtensionsAreComparedNumberByNumber(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1.10", "1.9", true},
		{"1.9", "1.10", false},
		{"2.0", "1.99.9", true},
		{"1.2", "1.2.0", false},
		{"1.2.1", "1.2", true},
		{"1.2", "1.2", false},
		{"3.4.0dev", "3.3", true}, // no order is known: the files' default is believed
		{"unpackaged", "unpackaged", false},
	} {
		if got := NewerVersion(c.a, c.b); got != c.want {
			t.Errorf("%s after %s: %t", c.a, c.b, got)
		}
	}
}
