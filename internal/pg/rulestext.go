package pg

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// quoteToken quotes for pg_hba.conf and pg_ident.conf. A token that begins
// with a quote is no keyword, no +group and no @file (next_token in hba.c).
func quoteToken(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// quoteRole writes a role's name so that it means this role alone. Quotes do
// not keep a leading slash from beginning a regular expression (16 and later,
// regcomp_auth_token), and no token spans lines: such names become expressions.
func quoteRole(name string, major int) (string, error) {
	odd := strings.ContainsAny(name, "\r\n")
	switch {
	case name == "":
		return "", errors.New("no superuser named")
	case strings.Contains(name, "\x00"):
		return "", fmt.Errorf("the role name %q is impossible", name)
	case major >= 16 && (odd || name[0] == '/'):
		return quoteToken("/^" + quoteRegexp(name) + "$"), nil
	case odd:
		return "", fmt.Errorf("the role name %q spans lines, which pg_hba.conf of PostgreSQL %d cannot say", name, major)
	}
	return quoteToken(name), nil
}

// quoteRegexp escapes for PostgreSQL's advanced regular expressions, where a
// backslash before a character that is no letter or digit makes it ordinary.
func quoteRegexp(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < 0x80 && !isAlnum(c):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// quoteOSUser writes the first column of pg_ident.conf, where a leading slash
// is a regular expression in every version. No real user has such a name.
func quoteOSUser(name string) (string, error) {
	if name == "" || name[0] == '/' || strings.ContainsAny(name, "\r\n\x00") {
		return "", fmt.Errorf("the operating system user name %q is impossible", name)
	}
	return quoteToken(name), nil
}

// absoluteLists makes references to lists (@file) absolute, because a relative
// one is looked for beside the file that holds it and the text moves. All else
// stays as it is, line numbers included. From 14 on a backslash at the end of
// a line continues it, in comments too.
func absoluteLists(text, dir string, continued bool) string {
	var out strings.Builder
	for text != "" {
		raw, line, count := logicalLine(text, continued)
		text = text[len(raw):]
		if changed, ok := absoluteLine(line, dir); ok {
			raw = changed + strings.Repeat("\n", count)
		}
		out.WriteString(raw)
	}
	if s := out.String(); s != "" && !strings.HasSuffix(s, "\n") {
		return s + "\n"
	}
	return out.String()
}

// logicalLine cuts the first line off text: as written (raw), joined, and how
// many lines of the file it spans.
func logicalLine(text string, continued bool) (raw, line string, count int) {
	for at := 0; ; {
		part, _, found := strings.Cut(text[at:], "\n")
		at += len(part)
		count++
		part = strings.TrimRight(part, "\r")
		if found {
			at++
		}
		more := continued && strings.HasSuffix(part, `\`)
		line += strings.TrimSuffix(part, map[bool]string{true: `\`}[more])
		if !more || at == len(text) {
			return text[:at], line, count
		}
	}
}

// absoluteLine rewrites the relative @file tokens of one line.
func absoluteLine(line, dir string) (string, bool) {
	var out strings.Builder
	done := 0
	for at := 0; ; {
		start, end, value, bare := nextToken(line, at)
		if start == end {
			break
		}
		at = end
		if !bare || len(value) < 2 || value[0] != '@' || filepath.IsAbs(value[1:]) {
			continue
		}
		out.WriteString(line[done:start])
		out.WriteString("@" + quoteToken(filepath.Join(dir, value[1:])))
		done = end
	}
	out.WriteString(line[done:])
	return out.String(), done > 0
}

// nextToken follows next_token in src/backend/libpq/hba.c: where the next
// token lies (start == end: there is none), its value, and whether it does not
// begin with a quote.
func nextToken(line string, at int) (start, end int, value string, bare bool) {
	for at < len(line) && strings.IndexByte(" \t\r,", line[at]) >= 0 {
		at++
	}
	var buf strings.Builder
	inQuote, wasQuote := false, false
	start, bare = at, true
	for ; at < len(line); at++ {
		c := line[at]
		if !inQuote && strings.IndexByte(" \t\r,#", c) >= 0 {
			break // a comment ends the line: the next call finds an empty token
		}
		if c != '"' || wasQuote {
			buf.WriteByte(c)
		}
		wasQuote = inQuote && c == '"' && !wasQuote
		if c == '"' {
			inQuote = !inQuote
			if buf.Len() == 0 {
				bare = false
			}
		}
	}
	return start, at, buf.String(), bare
}
