package upgrade

import (
	"fmt"
	"strings"
)

// confOutcome is what becomes of one setting.
type confOutcome struct {
	kind    outKind
	code    string // of the finding
	why     string // what is so: "PostgreSQL 17 has no such setting"
	mend    string // what to do where we cannot: a sentence
	hint    string // of the note where we can
	said    string // the server's own words
	newName string
	value   string // the new one
	moved   bool   // value differs from the old one
}

type outKind int

const (
	outKeep outKind = iota
	outGone         // comment it out: the new major does not know the name
	outBad          // comment it out: the new major does not take the value
	outName         // give it its new name
	outPath         // it names the old data directory
)

// outcome decides about one setting of a file or of the arguments.
func (d *confDecision) outcome(name, value string) confOutcome {
	moved, isMoved := d.move(value)
	verdict := d.Verdicts[ConfSetting{lowerName(name), moved}]
	switch verdict.Kind {
	case ConfUnknown:
		res := d.unknown(name, moved, verdict.Said)
		res.moved = isMoved
		return res
	case ConfBadValue:
		return confOutcome{
			kind: outBad, code: "setting-value", said: verdict.Said,
			why:  fmt.Sprintf("PostgreSQL %d does not take the value %s (%s)", d.To, shortValue(value), serverWords(verdict.Said)),
			mend: "Set a value that both majors take.",
			hint: fmt.Sprintf("The default holds after the upgrade; set a value that PostgreSQL %d takes.", d.To),
		}
	}
	if isMoved {
		return confOutcome{
			kind: outPath, code: "setting-path", value: moved, moved: true,
			why:  fmt.Sprintf("it names the old data directory, which will be %s", d.NewDir),
			mend: "Name it relative to the data directory or to the file, which is right before and after.",
		}
	}
	return confOutcome{}
}

func (d *confDecision) unknown(name, value, said string) confOutcome {
	res := confOutcome{kind: outGone, code: "setting-removed", said: said, why: fmt.Sprintf("PostgreSQL %d has no such setting", d.To), mend: "Remove it."}
	known, ok := confChanges[lowerName(name)]
	if !ok || known.Since > d.To {
		res.why += fmt.Sprintf(" (%s)", serverWords(said))
		return res
	}
	res.why = fmt.Sprintf("PostgreSQL has no such setting since %d; %s", known.Since, known.Why)
	if known.NewName == "" {
		return res
	}
	res.mend = fmt.Sprintf("Set %s instead, or remove it.", known.NewName)
	if d.Verdicts[ConfSetting{known.NewName, value}].Kind == ConfAccepted {
		res.kind, res.code, res.newName, res.value = outName, "setting-renamed", known.NewName, value
	}
	return res
}

// edit is the change to a line, and in words what was done to it.
func (o confOutcome) edit(from, to int, name string) (ConfEdit, string) {
	during := fmt.Sprintf("in the upgrade from %d to %d", from, to)
	switch o.kind {
	case outName:
		e := ConfEdit{Note: fmt.Sprintf("renamed %s: %s", during, o.why), Name: o.newName}
		if o.moved {
			e.Value = &o.value
		}
		return e, fmt.Sprintf("becomes %s, its name since then", o.newName)
	case outPath:
		what := "names the new data directory instead of the old one"
		return ConfEdit{Note: fmt.Sprintf("%s %s", what, during), Value: &o.value}, what
	}
	return ConfEdit{Note: fmt.Sprintf("commented out %s: %s", during, o.why), Out: true},
		"is commented out: " + o.why
}

// serverWords is a message of the server as part of a sentence.
func serverWords(said string) string {
	return "the server says: " + strings.TrimSuffix(oneLine(said), ".")
}

func shortValue(s string) string {
	if r := []rune(s); len(r) > 80 {
		s = string(r[:80]) + "…"
	}
	return `"` + oneLine(s) + `"`
}
