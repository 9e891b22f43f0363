package config

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// world is a loader over files in memory and a host called testhost.
func world(files map[string]string) loader {
	return loader{
		readFile: func(path string) ([]byte, error) {
			content, found := files[path]
			if !found {
				return nil, fs.ErrNotExist
			}
			return []byte(content), nil
		},
		hostname: func() (string, error) { return "testhost", nil },
	}
}

// mustLoad loads and fails the test on an error.
func mustLoad(t *testing.T, files map[string]string, environ ...string) (Settings, []string) {
	t.Helper()
	settings, warnings, err := world(files).load(environ)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return settings, warnings
}

// wantRefusal checks that err holds one line with each of the parts.
func wantRefusal(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("accepted, want a refusal")
	}
	text := err.Error()
	if strings.Contains(text, "\n") {
		t.Errorf("refusal has more than one line: %s", text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("refusal %q does not say %q", text, part)
		}
	}
}

var errDenied = errors.New("permission denied")
