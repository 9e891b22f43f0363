package config

import "regexp"

// word is a pattern with a greatest length in bytes. A count in the pattern
// itself ({1,80}) is unrolled when it is compiled, and every process of this
// binary, PID 1 too, would keep some 50 kB for each.
type word struct {
	max     int
	pattern *regexp.Regexp
}

// MatchString reports whether the text is such a word.
func (w word) MatchString(text string) bool {
	return len(text) <= w.max && w.pattern.MatchString(text)
}
