package config

import (
	"slices"
	"strings"
)

// Source says where a setting's value came from.
type Source string

// The sources, the weakest first.
const (
	SourceDefault     Source = "default"
	SourceFile        Source = "file"
	SourceSecretFile  Source = "secret file" // named in the environment or in the file
	SourceEnvironment Source = "environment"
)

// Row is one line of `pgbaton config print`.
type Row struct {
	Name   string `json:"name"`   // key in the YAML file
	Env    string `json:"env"`    // variable in the environment
	Value  string `json:"value"`  // in effect; "***" for a secret, empty where not set
	Source Source `json:"source"` //
}

// Print returns a row for each setting in the order of the table, for
// `pgbaton config print` as a table or as JSON. It is empty for Settings that
// Load did not make.
func Print(s Settings) []Row { return slices.Clone(s.rows) }

// DefaultText is what it means that a setting has no value, in words.
func DefaultText(name string) string {
	for _, s := range table {
		if s.Name == name && s.DefaultText != "" {
			return strings.ReplaceAll(s.DefaultText, "`", "")
		}
	}
	return "empty"
}
