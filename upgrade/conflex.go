package upgrade

import "strings"

// token is a piece of a line of postgresql.conf, as src/backend/utils/misc/guc-file.l cuts it.
type token struct {
	kind       tokenKind
	start, end int // in the line
}

type tokenKind int

const (
	tokenEnd tokenKind = iota // of the line, or a comment
	tokenID
	tokenQualified // two names with a dot between
	tokenString    // in single quotes
	tokenBare      // a word with other characters in it
	tokenNumber    // an integer with its unit, or a real
	tokenEquals
	tokenError
)

// nextConfToken returns the token at or after at. As in flex the longest match
// wins, and of equally long ones the first in the order of the constants.
func nextConfToken(line string, at int) token {
	for at < len(line) && strings.IndexByte(" \t\r", line[at]) >= 0 {
		at++
	}
	if at == len(line) || line[at] == '#' {
		return token{tokenEnd, at, at}
	}
	best := token{tokenError, at, at + 1}
	for _, m := range []struct {
		kind tokenKind
		n    int
	}{
		{tokenID, matchID(line[at:])},
		{tokenQualified, matchQualified(line[at:])},
		{tokenString, matchString(line[at:])},
		{tokenBare, matchBare(line[at:])},
		{tokenNumber, max(matchInteger(line[at:]), matchReal(line[at:]))},
	} {
		if n := best.end - best.start; m.n > n || m.n == n && best.kind == tokenError {
			best = token{m.kind, at, at + m.n}
		}
	}
	if best.kind == tokenError && line[at] == '=' {
		best.kind = tokenEquals
	}
	return best
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isUnit(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isHex(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// run is the number of leading bytes that fit.
func run(s string, fits func(byte) bool) int {
	n := 0
	for n < len(s) && fits(s[n]) {
		n++
	}
	return n
}

func matchID(s string) int {
	if s == "" || !isLetter(s[0]) {
		return 0
	}
	return run(s, func(c byte) bool { return isLetter(c) || isDigit(c) })
}

func matchQualified(s string) int {
	first := matchID(s)
	if first == 0 || first == len(s) || s[first] != '.' {
		return 0
	}
	second := matchID(s[first+1:])
	if second == 0 {
		return 0
	}
	return first + 1 + second
}

func matchBare(s string) int {
	if s == "" || !isLetter(s[0]) {
		return 0
	}
	return run(s, func(c byte) bool { return isLetter(c) || isDigit(c) || strings.IndexByte("-._:/", c) >= 0 })
}

// matchString matches a string in quotes, with doubled quotes and backslashes
// inside. Where the end is missing, the match is the longest that has one.
func matchString(s string) int {
	if s == "" || s[0] != '\'' {
		return 0
	}
	end := 0
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			end = i + 1
			if end == len(s) || s[end] != '\'' {
				return end
			}
			i++
		}
	}
	return end
}

func sign(s string) int {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return 1
	}
	return 0
}

func matchInteger(s string) int {
	start := sign(s)
	digits := run(s[start:], isDigit)
	if digits == 0 {
		return 0
	}
	n := start + digits
	n += run(s[n:], isUnit)
	if hex := s[start:]; strings.HasPrefix(hex, "0x") {
		if h := run(hex[2:], isHex); h > 0 {
			m := start + 2 + h
			n = max(n, m+run(s[m:], isUnit))
		}
	}
	return n
}

func matchReal(s string) int {
	n := sign(s)
	n += run(s[n:], isDigit)
	if n == len(s) || s[n] != '.' {
		return 0
	}
	n++
	n += run(s[n:], isDigit)
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		m := n + 1 + sign(s[n+1:])
		if e := run(s[m:], isDigit); e > 0 {
			n = m + e
		}
	}
	return n
}
