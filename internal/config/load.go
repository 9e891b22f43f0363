package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/viper"
)

// untouched is the middle of every refusal: settings are read before anything
// is done with them.
const untouched = "nothing was started or changed"

// Load reads the settings from an environment (NAME=value entries) and from the
// YAML file. The environment wins over the file, the file over the default. The
// warnings are sentences about what was ignored; they are returned beside an
// error too. An error holds one line for each setting that is refused.
func Load(environ []string) (Settings, []string, error) {
	return loader{readFile: readFile, hostname: os.Hostname}.load(environ)
}

// loader is what Load reads of the world.
type loader struct {
	readFile func(path string) ([]byte, error)
	hostname func() (string, error)
}

// load reads, layers, decodes and checks.
func (l loader) load(environ []string) (Settings, []string, error) {
	vars := parseEnviron(environ)
	warnings := unknownVariables(vars)
	host, warning := l.hostName(vars)
	if warning != "" {
		warnings = append(warnings, warning)
	}
	given, err := l.given(vars)
	if err != nil {
		return Settings{}, warnings, err
	}
	settings, err := decode(given, host)
	if err != nil {
		return Settings{}, warnings, err
	}
	if err := contradictions(settings, vars); err != nil {
		return Settings{}, warnings, err
	}
	settings.Peers = withPorts(settings.Peers, settings.Listen)
	return settings, append(warnings, passingName(settings, given)...), nil
}

// given is what the user set, by name of the setting.
type given struct {
	environ, file map[string]value
}

// value is a text with where it came from.
type value struct {
	text   string
	label  string // what an error calls it: the variable, or key, file and line
	source Source
}

// of returns the user's value for a setting; the environment wins.
func (g given) of(name string) (value, bool) {
	if v, found := g.environ[name]; found {
		return v, true
	}
	v, found := g.file[name]
	return v, found
}

// given reads both sources.
func (l loader) given(vars map[string]string) (given, error) {
	environ, errEnviron := l.fromEnviron(vars)
	file, errFile := l.fromFile(vars)
	return given{environ: environ, file: file}, errors.Join(errEnviron, errFile)
}

// fromEnviron collects the settings that are set by variables.
func (l loader) fromEnviron(vars map[string]string) (map[string]value, error) {
	values := make(map[string]value)
	var problems []error
	for _, s := range table {
		direct := value{text: vars[s.Env], label: s.Env, source: SourceEnvironment}
		file := value{}
		if s.Secret {
			file = value{text: vars[s.FileEnv()], label: s.FileEnv()}
		}
		problems = append(problems, l.choose(values, s, direct, file))
	}
	return values, errors.Join(problems...)
}

// fromFile collects the settings that stand in the YAML file.
func (l loader) fromFile(vars map[string]string) (map[string]value, error) {
	path, content, err := l.settingsFile(vars)
	if err != nil || content == nil {
		return nil, err
	}
	entries, err := parseYAML(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; %s", path, err, untouched)
	}
	values := make(map[string]value)
	var problems []error
	for _, s := range table {
		direct := fileValue(path, s.Name, entries)
		direct.source = SourceFile
		file := value{}
		if s.Secret {
			file = fileValue(path, s.fileName(), entries)
		}
		problems = append(problems, l.choose(values, s, direct, file))
	}
	return values, errors.Join(problems...)
}

// fileValue is the value of a key of the YAML file at path.
func fileValue(path, key string, entries map[string]entry) value {
	e := entries[key]
	return value{text: e.text, label: fmt.Sprintf("%s in %s line %d", key, path, e.line)}
}

// settingsFile reads the YAML file. Its content is nil if the default file is
// missing.
func (l loader) settingsFile(vars map[string]string) (string, []byte, error) {
	row := mustSetting("config")
	path, named := vars[row.Env]
	if !named {
		path = row.Default
	}
	if _, err := row.Kind.parse(path); err != nil {
		return "", nil, nil // decode refuses it by name
	}
	path = filepath.Clean(path)
	content, err := l.readFile(path)
	switch {
	case err == nil:
		return path, content, nil
	case !named && errors.Is(err, fs.ErrNotExist):
		return path, nil, nil
	case named:
		return "", nil, fmt.Errorf("read the settings file %s, named by %s: %w; %s; correct the path or unset the variable", path, row.Env, err, untouched)
	}
	return "", nil, fmt.Errorf("read the settings file %s: %w; %s; mend it or name another one in %s", path, err, untouched, row.Env)
}

// choose puts a setting's value into values: the one given directly, or the
// content of the file that is named instead.
func (l loader) choose(values map[string]value, s Setting, direct, file value) error {
	switch {
	case direct.text != "" && file.text != "":
		return fmt.Errorf("%s and %s are both set but exclude each other; %s; keep one of them", direct.label, file.label, untouched)
	case direct.text != "":
		values[s.Name] = direct
	case file.text != "":
		text, err := l.readSecret(file)
		if err != nil {
			return err
		}
		values[s.Name] = value{text: text, label: "the content of " + file.label, source: SourceSecretFile}
	}
	return nil
}

// readSecret reads the file that a variable or key names. Line ends at its end
// do not belong to the secret.
func (l loader) readSecret(file value) (string, error) {
	path, err := parsePath(file.text)
	if err != nil {
		// The text is not shown: people put the secret itself here.
		return "", fmt.Errorf("%s %w; %s; name the file that holds the secret", file.label, err, untouched)
	}
	content, err := l.readFile(path)
	if err != nil {
		return "", fmt.Errorf("read %s, named by %s: %w; %s; mount the secret or correct the path", path, file.label, err, untouched)
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" {
		return "", fmt.Errorf("the file %s, named by %s, is empty; %s; write the secret into it or unset it", path, file.label, untouched)
	}
	return text, nil
}

// decode layers defaults, file and environment in a fresh viper, turns each
// text into its type, and fills the struct.
func decode(given given, host string) (Settings, error) {
	v := layers(given)
	var problems []error
	var rows []Row
	for _, s := range table {
		text := v.GetString(s.Name) // all layers hold text, so nothing is converted
		if text == "" && s.Name == "node" {
			text = host
		}
		typed, shown, err := parseValue(s, text, given)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		v.Set(s.Name, typed)
		user, set := given.of(s.Name)
		if !set {
			user.source = SourceDefault
		}
		rows = append(rows, Row{Name: s.Name, Env: s.Env, Value: shown, Source: user.source})
	}
	if err := errors.Join(problems...); err != nil {
		return Settings{}, err
	}
	settings := Settings{rows: rows}
	if err := v.UnmarshalExact(&settings); err != nil {
		// Not the user's doing: table and struct differ. viper's text could
		// show a secret.
		return Settings{}, errors.New("decode settings: the table of settings does not fit the struct")
	}
	return settings, nil
}

// layers makes a viper that knows no file and no environment of its own.
func layers(given given) *viper.Viper {
	v := viper.NewWithOptions(viper.KeyDelimiter("\x00")) // a dot in a key means nothing
	file := make(map[string]any, len(given.file))
	for name, value := range given.file {
		file[name] = value.text
	}
	for _, s := range table {
		v.SetDefault(s.Name, s.Default)
		if value, found := given.environ[s.Name]; found {
			v.Set(s.Name, value.text)
		}
	}
	_ = v.MergeConfigMap(file) // cannot fail: it merges maps in memory
	return v
}

// parseValue turns a text into the setting's type and into how it is shown.
// An empty text is what the struct has for not set.
func parseValue(s Setting, text string, given given) (typed any, shown string, err error) {
	if text == "" {
		if s.Kind.zero != nil {
			return s.Kind.zero, "", nil
		}
		return "", "", nil
	}
	typed, err = s.Kind.parse(text)
	if err != nil {
		return nil, "", refused(s, text, given, err)
	}
	return typed, s.Kind.format(typed), nil
}

// refused is the error for a value that the setting does not accept.
func refused(s Setting, text string, given given, reason error) error {
	label := s.Env
	if user, found := given.of(s.Name); found {
		label = user.label
	}
	if s.Secret {
		return fmt.Errorf("%s %w; %s; write %s", label, reason, untouched, s.Kind.Accepts)
	}
	return fmt.Errorf("%s is %.80q, which %w; %s; write %s", label, withoutUser(text), reason, untouched, s.Kind.Accepts)
}

// hostName is the default name of the node. Odd characters of a host name are
// replaced rather than refused: nobody set it for us.
func (l loader) hostName(vars map[string]string) (name, warning string) {
	row := mustSetting("node")
	host, err := l.hostname()
	if err == nil && nodeName.MatchString(host) {
		return host, ""
	}
	name = usableName(host)
	if _, set := vars[row.Env]; set {
		return name, ""
	}
	return name, fmt.Sprintf("the host name %.80q is not usable as the node's name, which is %s instead; set %s", host, name, row.Env)
}

// usableName turns any text into a node's name.
func usableName(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r < 128 && nodeName.MatchString("x"+string(r)) {
			return r
		}
		return '-'
	}, text)
	clean = strings.TrimLeft(clean, "-_.")
	clean = clean[:min(len(clean), maxName)]
	if clean == "" {
		return "node"
	}
	return clean
}

// mustSetting returns the row of a setting that the code itself names.
func mustSetting(name string) Setting {
	for _, s := range table {
		if s.Name == name {
			return s
		}
	}
	panic("config: no setting " + name)
}
