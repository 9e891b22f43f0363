package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile is the size in bytes up to which a file is read; settings need far
// less, and a wrong path may lead to anything.
const maxFile = 1 << 20

// readFile reads a small regular file. Anything else is refused before it is
// opened, because opening a FIFO could wait for ever. /dev/null is no file, which
// leaves out the one at the usual place.
func readFile(path string) ([]byte, error) {
	if path == os.DevNull {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer func() { _ = file.Close() }() // read only: nothing can be lost
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		return nil, fmt.Errorf("larger than %s", FormatSize(maxFile))
	}
	return content, bare(err)
}

// bare takes operation and path off an error, for messages that name the path
// themselves.
func bare(err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// entry is a value as it stands in the YAML file.
type entry struct {
	text string
	line int // from 1
}

// parseYAML reads a flat mapping of settings. The text of each value is kept as
// it is written: YAML's own idea of types (off is false, 012 is 10) never
// applies. No message quotes the file's content beyond a key, for a secret may
// stand anywhere in a file that is wrong.
func parseYAML(content []byte) (map[string]entry, error) {
	root, err := yamlRoot(content)
	if err != nil || root == nil {
		return nil, err
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d is not a setting; write each as name: value", root.Line)
	}
	entries := make(map[string]entry, len(root.Content)/2)
	for i := 0; i+1 < len(root.Content); i += 2 {
		if err := addEntry(entries, root.Content[i], root.Content[i+1]); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// yamlRoot returns the only document's root, or nil if there is nothing in it.
func yamlRoot(content []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, yamlProblem(err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, yamlProblem(err)
		}
		return nil, fmt.Errorf("line %d begins a second YAML document; write all settings into one", second.Line)
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil
	}
	return root, nil
}

// yamlLine finds the line in an error of the YAML parser.
var yamlLine = regexp.MustCompile(`\bline [0-9]+\b`)

// yamlProblem keeps only the line of a parser's error: its text can quote the
// file, and with it a secret.
func yamlProblem(err error) error {
	if line := yamlLine.FindString(err.Error()); line != "" {
		return fmt.Errorf("the file is not valid YAML near %s; write each setting as name: value", line)
	}
	return errors.New("the file is not valid YAML; write each setting as name: value")
}

// addEntry adds one key with its value.
func addEntry(entries map[string]entry, key, value *yaml.Node) error {
	setting, err := keyedSetting(key)
	if err != nil {
		return err
	}
	if _, twice := entries[key.Value]; twice {
		return fmt.Errorf("line %d sets %s a second time; keep one of them", key.Line, key.Value)
	}
	text, err := valueText(setting, value)
	if err != nil {
		return fmt.Errorf("line %d: %s %w", value.Line, key.Value, err)
	}
	entries[key.Value] = entry{text: text, line: value.Line}
	return nil
}

// keyedSetting finds the setting that a key means.
func keyedSetting(key *yaml.Node) (Setting, error) {
	if key.Kind != yaml.ScalarNode {
		return Setting{}, fmt.Errorf("line %d has a key that is no word; write each setting as name: value", key.Line)
	}
	for _, s := range table {
		switch {
		case key.Value != s.Name && (key.Value != s.fileName() || key.Value == ""):
		case s.EnvOnly:
			return Setting{}, fmt.Errorf("line %d sets %s, which only the environment can; set %s", key.Line, s.Name, s.Env)
		default:
			return s, nil
		}
	}
	if !plainName.MatchString(key.Value) {
		return Setting{}, fmt.Errorf("line %d has an unknown key; write each setting as name: value", key.Line)
	}
	return Setting{}, fmt.Errorf("line %d has the unknown key %s%s", key.Line, key.Value, didYouMean(key.Value, knownKeys()))
}

// knownKeys lists the keys of the YAML file.
func knownKeys() []string {
	var names []string
	for _, s := range table {
		if s.EnvOnly {
			continue
		}
		names = append(names, s.Name)
		if s.Secret {
			names = append(names, s.fileName())
		}
	}
	return names
}

// valueText returns a value's text, and of a sequence its items joined.
func valueText(s Setting, value *yaml.Node) (string, error) {
	if value.Kind != yaml.SequenceNode || s.Kind.list == "" {
		return scalarText(value)
	}
	items := make([]string, len(value.Content))
	for i, node := range value.Content {
		text, err := scalarText(node)
		if err != nil {
			return "", err
		}
		if text == "" || strings.ContainsAny(text, s.Kind.list) {
			return "", fmt.Errorf("has an item that is empty or holds one of %q, which separate items", s.Kind.list)
		}
		items[i] = text
	}
	return strings.Join(items, ","), nil
}

// scalarText returns the text of a plain value; null is the empty text.
func scalarText(node *yaml.Node) (string, error) {
	plain := []string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}
	switch {
	case node.Kind != yaml.ScalarNode:
		return "", errors.New("is not a plain value; write it on one line behind the key")
	case node.ShortTag() == "!!null":
		return "", nil
	case !slices.Contains(plain, node.ShortTag()):
		return "", errors.New("has a YAML tag; write the value without it")
	}
	return node.Value, nil
}
