package upgrade

import (
	"bytes"
	"strings"
)

// ConfEdit changes one line of a configuration file.
type ConfEdit struct {
	Note  string  // becomes a comment above the line
	Out   bool    // the line becomes a comment itself
	Name  string  // the setting's new name; empty leaves it
	Value *string // its new value; nil leaves it
}

// RewriteConf applies edits, by line number, and changes nothing else.
func RewriteConf(data []byte, edits map[int]ConfEdit) []byte {
	if len(edits) == 0 {
		return data
	}
	var out bytes.Buffer
	for number := 1; len(data) > 0; number++ {
		line, rest, found := bytes.Cut(data, []byte("\n"))
		data = rest
		text := string(line)
		if e, ok := edits[number]; ok {
			text = e.apply(text)
		}
		out.WriteString(text)
		if found {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func (e ConfEdit) apply(line string) string {
	head := ""
	if e.Note != "" {
		head = "# pgbaton: " + oneLine(e.Note)
		if strings.HasSuffix(line, "\r") {
			head += "\r"
		}
		head += "\n"
	}
	if e.Out {
		return head + "#" + line
	}
	l, ok := parseConfLine(line)
	if !ok || l.Bad != "" {
		return head + line
	}
	name, value := line[l.nameStart:l.nameEnd], line[l.valueStart:l.valueEnd]
	if e.Name != "" {
		name = e.Name
	}
	if e.Value != nil {
		value = quoteConf(*e.Value)
	}
	return head + line[:l.nameStart] + name + line[l.nameEnd:l.valueStart] + value + line[l.valueEnd:]
}

// oneLine makes text fit for a comment of one line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
}

// MovePath replaces the directory from by to wherever it stands in text as a
// whole: at the beginning of a longer path or alone, also in the middle of a
// command. Nothing is replaced inside a longer name (/data in /database or /my/data).
func MovePath(text, from, to string) (string, bool) {
	if from == "" || from == "/" || from == to {
		return text, false
	}
	var b strings.Builder
	done := 0
	for at := 0; ; {
		i := strings.Index(text[at:], from)
		if i < 0 {
			break
		}
		i += at
		at = i + len(from)
		if i > 0 && !pathBorder(text[i-1]) || at < len(text) && text[at] != '/' && !pathBorder(text[at]) {
			continue
		}
		b.WriteString(text[done:i])
		b.WriteString(to)
		done = at
	}
	b.WriteString(text[done:])
	return b.String(), done > 0
}

// pathBorder is what may stand beside a path in a list or a command.
func pathBorder(c byte) bool { return strings.IndexByte(" \t\r\n\"',:;=()<>|&@", c) >= 0 }
