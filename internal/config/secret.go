package config

import (
	"fmt"
	"io"
	"log/slog"
)

// mask stands wherever a secret's value would.
const mask = "***"

// Secret is a value that no log, error, answer or table may show. Every usual
// way to print it gives "***"; only Reveal gives the value. Keep it in exported
// fields: fmt calls no methods on unexported ones and would print them raw.
type Secret string

// Reveal returns the value. Call it only where the value is used.
func (s Secret) Reveal() string { return string(s) }

// String returns "***", or nothing for an empty secret, so that one can see
// whether it is set.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// Format prints String for every verb. Without it fmt would print the value
// itself for a verb that does not fit, such as %d.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is what slog prints.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what JSON and YAML get.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
