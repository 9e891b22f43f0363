package upgrade

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pgbaton/pgbaton/internal/node"
)

// MarkerLimit is the size in bytes above which a marker is not read.
const MarkerLimit = 64 << 10

// ParseMarker reads the content of the marker file: nothing (all defaults), a
// lone major such as 17, or lines of the form `key: value`. A '#' at the
// beginning of a line or after a blank begins a comment. The error is one
// sentence that names the line and the key and says what is accepted.
func ParseMarker(data []byte) (node.UpgradeRequest, error) {
	if len(data) > MarkerLimit {
		return node.UpgradeRequest{}, fmt.Errorf("the marker is longer than %d bytes; it is meant to be empty, a major such as 17, or a few lines `key: value`", MarkerLimit)
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return node.UpgradeRequest{}, errors.New("the marker is not text in UTF-8; it is meant to be empty, a major such as 17, or lines `key: value`")
	}
	m := marker{req: node.UpgradeRequest{Do: node.UpgradeNow}, seen: map[string]int{}}
	text := strings.TrimPrefix(string(data), "\ufeff") // what Notepad begins a file with
	number := 0
	for line := range strings.Lines(text) {
		number++
		if err := m.line(number, line); err != nil {
			return node.UpgradeRequest{}, err
		}
	}
	return m.end()
}

// marker is what has been read so far.
type marker struct {
	req             node.UpgradeRequest
	seen            map[string]int // the line of each key
	lone            int            // the line of a lone major; 0: none
	check, rehearse bool
}

func (m *marker) line(number int, line string) error {
	line = withoutComment(line)
	if line == "" {
		return nil
	}
	key, value, found := strings.Cut(line, ":")
	if !found {
		return m.loneMajor(number, line)
	}
	key = strings.ToLower(strings.TrimSpace(key))
	set, known := markerKeys[key]
	if !known {
		return fmt.Errorf("line %d of the marker: the key %s is not known; the keys are %s", number, quoted(key), strings.Join(MarkerKeys(), ", "))
	}
	if m.lone > 0 {
		return fmt.Errorf("line %d of the marker: %s follows a lone major in line %d; with other keys write `target: N`", number, key, m.lone)
	}
	if first, twice := m.seen[key]; twice {
		return fmt.Errorf("line %d of the marker: %s was given in line %d already; each key may be there once", number, key, first)
	}
	m.seen[key] = number
	value = unquoted(strings.TrimSpace(value))
	if accepted := set(m, value); accepted != "" {
		return fmt.Errorf("line %d of the marker: %s cannot be %s; accepted is %s", number, key, quoted(value), accepted)
	}
	return nil
}

func (m *marker) loneMajor(number int, line string) error {
	if setTarget(m, unquoted(line)) != "" {
		return fmt.Errorf("line %d of the marker: %s is neither a major such as 17 nor `key: value`; the keys are %s", number, quoted(line), strings.Join(MarkerKeys(), ", "))
	}
	if m.lone > 0 || len(m.seen) > 0 {
		return fmt.Errorf("line %d of the marker: a lone major stands alone; with other lines write `target: %d`, once", number, m.req.Target)
	}
	m.lone = number
	return nil
}

func (m *marker) end() (node.UpgradeRequest, error) {
	switch {
	case m.check && m.rehearse:
		line := max(m.seen["check_only"], m.seen["rehearse"])
		return node.UpgradeRequest{}, fmt.Errorf("line %d of the marker: check_only and rehearse are both true; accepted is one of them, a rehearsal checks first", line)
	case m.check:
		m.req.Do = node.UpgradeCheck
	case m.rehearse:
		m.req.Do = node.UpgradeRehearse
	}
	return m.req, nil
}

// withoutComment cuts a comment and the blanks around the rest off a line.
func withoutComment(line string) string {
	for i, c := range line {
		if c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}

// unquoted takes away a pair of quotes around a value.
func unquoted(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

// quoted shows the user's text in an error, at a length that can be read.
func quoted(s string) string {
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
