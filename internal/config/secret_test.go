package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// hidden is a secret that no output may hold.
const hidden = "s3cr3t-of-the-cluster"

func TestASecretIsMaskedHoweverItIsPrinted(t *testing.T) {
	secret := Secret(hidden)
	settings := Settings{Token: secret}
	asJSON, _ := json.Marshal(settings)
	asYAML, _ := yaml.Marshal(map[string]any{"token": secret})
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", secret, "settings", settings)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", secret, "settings", settings)
	outputs := []string{
		fmt.Sprint(secret), fmt.Sprint([]Secret{secret}), string(asJSON), string(asYAML), log.String(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%08.3f", "%t"} { // also the verbs that vet would refuse
		outputs = append(outputs, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, settings))
	}
	for _, output := range outputs {
		if strings.Contains(output, hidden) || strings.Contains(output, fmt.Sprintf("%x", hidden)) {
			t.Errorf("the secret is in %s", output)
		}
		if !strings.Contains(output, mask) {
			t.Errorf("no mask in %s", output)
		}
	}
	if fmt.Sprint(Secret("")) != "" {
		t.Error("an empty secret does not look empty")
	}
}

func TestSecrets(t *testing.T) {
	t.Run("a file's line ends do not count", func(t *testing.T) {
		got, _ := mustLoad(t, map[string]string{"/s": hidden + "\r\n\n"}, "PGBATON_TOKEN_FILE=/s")
		if got.Token.Reveal() != hidden {
			t.Error("the token differs from the file")
		}
	})
	t.Run("the YAML file may hold a token or name its file", func(t *testing.T) {
		direct, _ := mustLoad(t, map[string]string{file: "token: " + hidden})
		named, _ := mustLoad(t, map[string]string{file: "token_file: /s", "/s": hidden})
		if direct.Token.Reveal() != hidden || named.Token.Reveal() != hidden {
			t.Error("the token differs")
		}
	})
	t.Run("an empty variable and a file do not contradict", func(t *testing.T) {
		got, _ := mustLoad(t, map[string]string{"/s": hidden}, "PGBATON_TOKEN=", "PGBATON_TOKEN_FILE=/s")
		if got.Token.Reveal() != hidden {
			t.Error("the token differs")
		}
	})
}

func TestBadSecretsAreRefusedWithoutTheirValue(t *testing.T) {
	tests := []struct {
		name    string
		files   map[string]string
		environ []string
		parts   []string
	}{
		{"variable and file", map[string]string{"/s": hidden}, []string{"PGBATON_TOKEN=" + hidden, "PGBATON_TOKEN_FILE=/s"}, []string{"PGBATON_TOKEN and PGBATON_TOKEN_FILE are both set"}},
		{"key and file in YAML", map[string]string{"/s": hidden, file: "token: " + hidden + "\ntoken_file: /s"}, nil, []string{"token in /etc/pgbaton.yaml line 1", "token_file"}},
		{"a short one", nil, []string{"PGBATON_TOKEN=" + hidden[:10]}, []string{"PGBATON_TOKEN", "shorter than 16"}},
		{"a long one", nil, []string{"PGBATON_TOKEN=" + strings.Repeat(hidden, 100)}, []string{"longer than 512"}},
		{"one with a space", nil, []string{"PGBATON_TOKEN=" + hidden + " x"}, []string{"space"}},
		{"a short one in a file", map[string]string{"/s": "s3cr3t-of"}, []string{"PGBATON_TOKEN_FILE=/s"}, []string{"content of PGBATON_TOKEN_FILE"}},
		{"an empty file", map[string]string{"/s": "\n"}, []string{"PGBATON_TOKEN_FILE=/s"}, []string{"/s", "PGBATON_TOKEN_FILE", "empty"}},
		{"a missing file", nil, []string{"PGBATON_TOKEN_FILE=/s"}, []string{"/s", "PGBATON_TOKEN_FILE"}},
		{"the secret where its file is wanted", nil, []string{"PGBATON_TOKEN_FILE=" + hidden}, []string{"PGBATON_TOKEN_FILE", "not an absolute path"}},
		{"a key without its space", map[string]string{file: "token:" + hidden}, nil, []string{"line 1"}},
		{"a key without its space in braces", map[string]string{file: "{token:" + hidden + "}"}, nil, []string{"line 1"}},
		{"a secret that looks like an alias", map[string]string{file: "token: *" + hidden}, nil, []string{"not valid YAML"}},
		{"a secret that looks like a tag", map[string]string{file: "token: !" + hidden + " x"}, nil, []string{"line 1"}},
		{"a secret in a list", map[string]string{file: "token: [" + hidden + "]"}, nil, []string{"token"}},
		{"a secret in an open quote", map[string]string{file: "token: \"" + hidden}, nil, []string{"not valid YAML"}},
	}
	for _, test := range tests {
		t.Run(test.name+" is refused", func(t *testing.T) {
			_, _, err := world(test.files).load(test.environ)
			wantRefusal(t, err, test.parts...)
			if strings.Contains(fmt.Sprint(err), hidden[:9]) {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{dir: "not a regular file", large: "larger than 1MB", filepath.Join(dir, "none"): "no such file"} {
		if _, err := readFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if err := os.WriteFile(large, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if content, err := readFile(large); err != nil || string(content) != "x" {
		t.Errorf("got %q, %v", content, err)
	}
}
