package upgrade

import (
	"bytes"
	"strings"
)

// ConfLine is one line of a configuration file that says something.
type ConfLine struct {
	Number int    // from 1
	Name   string // as written; names are not case sensitive
	Value  string // without quotes and escapes
	Bad    string // what the server would not understand; empty where it does

	// where name and value lie in the line, for rewriting
	nameStart, nameEnd, valueStart, valueEnd int
}

// ParseConf reads postgresql.conf as ParseConfigFp in guc-file.l does. Lines
// that say nothing are left out; those that the server would complain about
// are there with Bad set. A NUL byte outside a comment is such a complaint.
func ParseConf(data []byte) []ConfLine {
	var res []ConfLine
	for number := 1; len(data) > 0; number++ {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		if l, ok := parseConfLine(string(line)); ok {
			l.Number = number
			res = append(res, l)
		}
	}
	return res
}

func parseConfLine(line string) (l ConfLine, ok bool) {
	name := nextConfToken(line, 0)
	if name.kind == tokenEnd {
		return l, false
	}
	bad := func(t token) (ConfLine, bool) {
		l.Bad = `near "` + line[t.start:t.end] + `"`
		if t.kind == tokenEnd {
			l.Bad = "near the end of the line"
		}
		return l, true
	}
	if name.kind != tokenID && name.kind != tokenQualified {
		return bad(name)
	}
	l.Name, l.nameStart, l.nameEnd = line[name.start:name.end], name.start, name.end
	value := nextConfToken(line, name.end)
	if value.kind == tokenEquals {
		value = nextConfToken(line, value.end)
	}
	switch value.kind {
	case tokenID, tokenString, tokenNumber, tokenBare:
	default:
		return bad(value)
	}
	l.Value, l.valueStart, l.valueEnd = line[value.start:value.end], value.start, value.end
	if value.kind == tokenString {
		l.Value = unescapeConf(l.Value)
	}
	if end := nextConfToken(line, value.end); end.kind != tokenEnd {
		return bad(end)
	}
	if strings.IndexByte(line[:value.end], 0) >= 0 {
		l.Bad = "a NUL byte"
	}
	return l, true
}

// unescapeConf is DeescapeQuotedString of guc-file.l: s is in single quotes.
// The server's strings end at a NUL, and so does this one.
func unescapeConf(s string) string {
	s = s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\'': // doubled
			i++
			b.WriteByte('\'')
		case s[i] == '\\' && i+1 < len(s):
			c, n := unescapeOne(s[i+1:])
			if c == 0 {
				return b.String()
			}
			b.WriteByte(c)
			i += n
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// unescapeOne reads what follows a backslash and how long it is.
func unescapeOne(s string) (c byte, n int) {
	if at := strings.IndexByte("bfnrt", s[0]); at >= 0 {
		return "\b\f\n\r\t"[at], 1
	}
	for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
		c = c<<3 + s[n] - '0'
		n++
	}
	if n > 0 {
		return c, n
	}
	return s[0], 1
}

// quoteConf writes a value so that unescapeConf reads it back.
func quoteConf(s string) string {
	r := strings.NewReplacer(`'`, `''`, `\`, `\\`, "\n", `\n`, "\r", `\r`)
	return "'" + r.Replace(s) + "'"
}

// ConfInclude reports whether the name is one of the directives that bring in
// other files, and which, in lower case.
func ConfInclude(name string) (directive string, ok bool) {
	switch n := lowerName(name); n {
	case "include", "include_if_exists", "include_dir":
		return n, true
	}
	return "", false
}

// lowerName folds a name as guc_name_compare does: ASCII letters only.
func lowerName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}
