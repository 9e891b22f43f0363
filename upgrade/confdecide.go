package upgrade

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// ConfVerdict is what the new major's server said about one setting.
type ConfVerdict struct {
	Kind ConfKind
	Said string // the server's own words; empty where it accepts
}

// ConfKind sorts the verdicts.
type ConfKind int

// The kinds of verdict.
const (
	ConfAccepted ConfKind = iota
	ConfUnknown           // the major has no setting of that name, or one that cannot be set
	ConfBadValue          // it has one that cannot have this value
	ConfDoubtful          // refused for a reason that may lie in other settings: left as it is
)

// ConfSetting is a name, in lower case, and a value.
type ConfSetting struct{ Name, Value string }

// ConfSource is a configuration file that the server reads.
type ConfSource struct {
	Path   string // absolute, as the server opens it
	Inside bool   // its real place is in the old PGDATA: it is carried over and can be changed
	Lines  []ConfLine
}

// ConfFacts are everything that DecideConf decides from.
type ConfFacts struct {
	From, To int      // majors
	OldDirs  []string // names of the old PGDATA: as given, and without links
	NewDir   string   // of the new one
	Files    []ConfSource
	Args     []ConfArg
	Verdicts map[ConfSetting]ConfVerdict // what is missing is accepted
	// Shadowed are lines, by file and number, that a later file or line
	// overrides: the server looks at their names but not at their values.
	Shadowed map[ConfPlace]bool
}

// ConfPlace is a line of a file.
type ConfPlace struct {
	File   int // index in Files
	Number int
}

// ConfTries lists what the new server has to be asked about: each setting once,
// as it will stand in the new cluster, and known new names of removed ones.
// Names with a dot in files are custom ones, which every server accepts.
func (f *ConfFacts) ConfTries() []ConfSetting {
	var res []ConfSetting
	seen := map[ConfSetting]bool{}
	add := func(name, value string) {
		s := ConfSetting{lowerName(name), value}
		if !seen[s] {
			seen[s] = true
			res = append(res, s)
		}
	}
	try := func(name, value string) {
		if !triable(name) {
			return
		}
		value, _ = f.move(value)
		add(name, value)
		if c, ok := confChanges[lowerName(name)]; ok && c.NewName != "" && f.To >= c.Since {
			add(c.NewName, value)
		}
	}
	for _, file := range f.Files {
		for _, l := range file.Lines {
			if _, include := ConfInclude(l.Name); l.Bad == "" && !include && !strings.Contains(l.Name, ".") {
				try(l.Name, l.Value)
			}
		}
	}
	for _, a := range f.Args {
		try(a.Name, a.Value)
	}
	return res
}

// triable are all but those that would lead the asked server elsewhere.
func triable(name string) bool {
	switch lowerName(name) {
	case "data_directory", "config_file":
		return false
	}
	return true
}

// move is a value as it has to be in the new cluster.
func (f *ConfFacts) move(value string) (string, bool) {
	moved := false
	for _, dir := range f.OldDirs {
		v, ok := MovePath(value, dir, f.NewDir)
		if ok {
			value, moved = v, true
			break
		}
	}
	return value, moved
}

// DecideConf returns what becomes of each file's lines, by index in Files and
// number, and what there is to say.
func DecideConf(f ConfFacts) (map[int]map[int]ConfEdit, []node.Finding) {
	d := confDecision{ConfFacts: f, edits: map[int]map[int]ConfEdit{}}
	for i, file := range f.Files {
		for _, l := range file.Lines {
			d.line(i, file, l)
		}
	}
	for _, a := range f.Args {
		d.arg(a)
	}
	return d.edits, fewFindings(d.findings)
}

// maxConfFindings bounds what is said about one configuration; the server
// itself stops at 100 errors (ParseConfigFp).
const maxConfFindings = 100

// fewFindings cuts a long list, refusals last.
func fewFindings(all []node.Finding) []node.Finding {
	more := len(all) - maxConfFindings
	if more <= 0 {
		return all
	}
	slices.SortStableFunc(all, func(a, b node.Finding) int {
		return cmp.Compare(bool01(a.Level != node.Refuse), bool01(b.Level != node.Refuse))
	})
	return append(all[:maxConfFindings:maxConfFindings], node.Finding{
		Level: all[maxConfFindings].Level, Code: "config-more", Text: fmt.Sprintf("There are %d more findings of this kind.", more),
		Hint: "Mend those that are listed, and look again.",
	})
}

func bool01(b bool) int {
	if b {
		return 1
	}
	return 0
}

// confDecision is DecideConf under way.
type confDecision struct {
	ConfFacts
	edits    map[int]map[int]ConfEdit
	findings []node.Finding
}

func (d *confDecision) line(i int, file ConfSource, l ConfLine) {
	where := fmt.Sprintf("%s line %d", file.Path, l.Number)
	if l.Bad != "" {
		d.refuse("config-syntax",
			fmt.Sprintf("%s is not understood, %s: no server would start with it.", where, l.Bad),
			"Correct the line; values with blanks or signs need single quotes.", "")
		return
	}
	out := d.outcome(l.Name, l.Value)
	if out.kind == outKeep || out.kind == outBad && d.Shadowed[ConfPlace{i, l.Number}] && !file.Inside {
		return
	}
	if !file.Inside {
		d.refuse("config-outside",
			fmt.Sprintf("%s, which is outside the data directory, sets %s: %s.", where, l.Name, out.why),
			fmt.Sprintf("%s Change it there first; pgbaton changes no files outside the data directory.", out.mend), out.said)
		return
	}
	edit, text := out.edit(d.From, d.To, l.Name)
	if d.edits[i] == nil {
		d.edits[i] = map[int]ConfEdit{}
	}
	d.edits[i][l.Number] = edit
	d.findings = append(d.findings, node.Finding{
		Level: node.Note, Code: out.code, Text: fmt.Sprintf("%s: %s %s.", where, l.Name, text), Hint: out.hint, Detail: out.said,
	})
}

func (d *confDecision) arg(a ConfArg) {
	out := d.outcome(a.Name, a.Value)
	if out.kind == outKeep {
		return
	}
	d.refuse("config-argument",
		fmt.Sprintf("The server's argument %s sets %s: %s.", shortText(a.Text), a.Name, out.why),
		fmt.Sprintf("%s Change the container's arguments first; pgbaton cannot.", out.mend), out.said)
}

func (d *confDecision) refuse(code, text, hint, detail string) {
	d.findings = append(d.findings, node.Finding{Level: node.Refuse, Code: code, Text: text, Hint: strings.TrimSpace(hint), Detail: detail})
}

// shortText keeps an argument readable.
func shortText(s string) string {
	if r := []rune(s); len(r) > 120 {
		s = string(r[:120]) + "…"
	}
	return "`" + oneLine(s) + "`"
}
