package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Kind says which values a setting accepts. Both sources, environment and
// file, give text, so that there is one way to read a value.
type Kind struct {
	Name    string // one word for the documentation, such as "duration"
	Accepts string // what is accepted, with an example; ends the sentence "write …"

	list   string // characters that separate items; not empty: the YAML file may give a sequence
	zero   any    // what the struct has for not set; nil means the empty string
	parse  func(text string) (any, error)
	format func(value any) string // the inverse of parse, in one spelling
}

// The bounds that are not PostgreSQL's.
const (
	minToken     = 16      // characters; shorter ones can be guessed over the network
	maxToken     = 512     // characters; fits every HTTP server's header limit
	minPassword  = 8       // characters; the server asks for it over the network too
	maxPassword  = 256     // characters
	maxSocketDir = 90      // bytes; a Unix socket's path may have 107, its name takes the rest
	maxPath      = 1024    // bytes; far below PATH_MAX, so that names fit under it
	maxDiskWarn  = 1 << 50 // bytes; 1024TB
)

// pathKind accepts an absolute path and cleans it.
func pathKind() Kind {
	return Kind{
		Name: "path", Accepts: "an absolute path",
		parse: func(text string) (any, error) { return parsePath(text) }, format: formatString,
	}
}

// socketDirKind accepts a directory in which a Unix socket's path is not too
// long.
func socketDirKind() Kind {
	return Kind{
		Name: "path", Accepts: fmt.Sprintf("an absolute path of at most %d bytes, other than /", maxSocketDir), format: formatString,
		parse: func(text string) (any, error) {
			path, err := parsePath(text)
			switch {
			case err != nil:
				return nil, err
			case path == "/":
				return nil, errors.New("is the root directory")
			case len(path) > maxSocketDir:
				return nil, errors.New("is too long for a Unix socket in it")
			}
			return path, nil
		},
	}
}

// parsePath cleans an absolute path. A relative one would mean different
// directories to PID 1, which changes to /, and to a command in a session.
func parsePath(text string) (string, error) {
	switch {
	case !filepath.IsAbs(text):
		return "", errors.New("is not an absolute path")
	case len(text) > maxPath:
		return "", errors.New("is too long")
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", errors.New("contains a control character")
	}
	return filepath.Clean(text), nil
}

// pathsKind accepts absolute paths separated by commas or colons.
func pathsKind() Kind {
	return Kind{
		Name: "paths", Accepts: "absolute paths separated by commas or colons, such as /usr/lib/postgresql,/opt/postgresql", list: ",:",
		parse: func(text string) (any, error) {
			var paths []string
			for item := range strings.SplitSeq(strings.ReplaceAll(text, ":", ","), ",") {
				path, err := parsePath(strings.TrimSpace(item))
				if err != nil {
					return nil, fmt.Errorf("holds an item that %w", err)
				}
				if !slices.Contains(paths, path) {
					paths = append(paths, path)
				}
			}
			return paths, nil
		},
		format: func(value any) string { return strings.Join(value.([]string), ",") },
	}
}

// maxName is the length of a node's name in bytes: PostgreSQL cuts a longer
// application_name (NAMEDATALEN), by which a primary knows its standbys.
const maxName = 63

// nodeName keeps names usable as label, path element and URL.
var nodeName = word{maxName, regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)}

// nameKind accepts a node's name.
func nameKind() Kind {
	return Kind{
		Name: "name", Accepts: fmt.Sprintf("1 to %d letters, digits, dots, dashes or underscores that begin with a letter or digit", maxName), format: formatString,
		parse: func(text string) (any, error) {
			if !nodeName.MatchString(text) {
				return nil, errors.New("is not usable as a name")
			}
			return text, nil
		},
	}
}

// listenOff is how one writes that no TCP port is wanted.
const listenOff = "off"

// listenHost holds the characters of host names and addresses.
var listenHost = regexp.MustCompile(`^[A-Za-z0-9._:%-]*$`)

// listenKind accepts host:port, or off, which becomes the empty string.
func listenKind() Kind {
	return Kind{
		Name: "address", Accepts: "host:port with a port from 1 to 65535, such as :8008 or 127.0.0.1:8008, or off",
		parse: func(text string) (any, error) {
			if text == listenOff {
				return "", nil
			}
			host, port, err := net.SplitHostPort(text)
			if err != nil || !listenHost.MatchString(host) {
				return nil, errors.New("is not host:port")
			}
			number, err := parsePort(port)
			if err != nil {
				return nil, err
			}
			return net.JoinHostPort(host, strconv.Itoa(number)), nil
		},
		format: func(value any) string {
			if value == "" {
				return listenOff
			}
			return value.(string)
		},
	}
}

// parsePort reads a TCP port. 0 is none: nobody could know which port it became.
func parsePort(text string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, errors.New("has no port from 1 to 65535")
	}
	return int(port), nil
}

// secretKind accepts what fits into an Authorization header, and into
// PostgreSQL's password file. Its errors say nothing about the value.
func secretKind(low, high int) Kind {
	return Kind{
		Name: "secret", Accepts: fmt.Sprintf("%d to %d visible ASCII characters without spaces", low, high),
		parse: func(text string) (any, error) {
			switch {
			case len(text) < low:
				return nil, fmt.Errorf("is shorter than %d characters", low)
			case len(text) > high:
				return nil, fmt.Errorf("is longer than %d characters", high)
			case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
				return nil, errors.New("contains a space or a character that is not visible ASCII")
			}
			return Secret(text), nil
		},
		format: func(value any) string { return value.(Secret).String() },
	}
}

// wordKind accepts one of a few words.
func wordKind[T ~string](words ...T) Kind {
	names := make([]string, len(words))
	for i, word := range words {
		names[i] = string(word)
	}
	return Kind{
		Name: strings.Join(names, " or "), Accepts: orList(names),
		parse: func(text string) (any, error) {
			if !slices.Contains(names, text) {
				return nil, errors.New("is not known")
			}
			return T(text), nil
		},
		format: func(value any) string { return string(value.(T)) },
	}
}

// levelKind accepts slog's levels in lower case.
func levelKind(levels ...slog.Level) Kind {
	name := func(level slog.Level) string { return strings.ToLower(level.String()) }
	names := make([]string, len(levels))
	for i, level := range levels {
		names[i] = name(level)
	}
	return Kind{
		Name: "level", Accepts: orList(names),
		parse: func(text string) (any, error) {
			i := slices.Index(names, text)
			if i < 0 {
				return nil, errors.New("is not known")
			}
			return levels[i], nil
		},
		format: func(value any) string { return name(value.(slog.Level)) },
	}
}

// durationKind accepts Go's spelling of a duration, from low to high.
func durationKind(low, high time.Duration) Kind {
	return Kind{
		Name: "duration", Accepts: fmt.Sprintf("a duration from %s to %s with its unit, such as 10s or 2m", formatDuration(low), formatDuration(high)),
		parse: func(text string) (any, error) {
			if _, err := strconv.ParseFloat(text, 64); err == nil {
				return nil, errors.New("has no unit")
			}
			duration, err := time.ParseDuration(text)
			switch {
			case err != nil:
				return nil, errors.New("is not a duration")
			case duration < low || duration > high:
				return nil, errors.New("is out of range")
			}
			return duration, nil
		},
		format: func(value any) string { return formatDuration(value.(time.Duration)) },
	}
}

// formatDuration is Go's spelling without the zeros at the end: 1m, not 1m0s.
func formatDuration(duration time.Duration) string {
	text := duration.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// boolKind accepts PostgreSQL's words for true and false.
func boolKind() Kind {
	words := map[string]bool{
		"true": true, "on": true, "yes": true, "1": true,
		"false": false, "off": false, "no": false, "0": false,
	}
	return Kind{
		Name: "true or false", Accepts: "true or false (also on, off, yes, no, 1, 0)",
		parse: func(text string) (any, error) {
			value, known := words[text]
			if !known {
				return nil, errors.New("is neither true nor false")
			}
			return value, nil
		},
		format: func(value any) string { return strconv.FormatBool(value.(bool)) },
	}
}

// sizeKind accepts a number of bytes up to high, in PostgreSQL's spelling.
func sizeKind(high int64) Kind {
	return Kind{
		Name: "size", Accepts: fmt.Sprintf("bytes, or a whole number with kB, MB, GB or TB, from 0 to %s, such as 512MB", FormatSize(high)),
		parse: func(text string) (any, error) {
			size, err := ParseSize(text)
			switch {
			case err != nil:
				return nil, errors.New("is not a size")
			case size > high:
				return nil, errors.New("is out of range")
			}
			return size, nil
		},
		format: func(value any) string { return FormatSize(value.(int64)) },
	}
}

// formatString is the format of values that are their own text.
func formatString(value any) string { return value.(string) }

// orList joins words as a sentence does: a, b or c.
func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
