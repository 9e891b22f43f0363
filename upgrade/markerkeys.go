package upgrade

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

const (
	// maxJobs bounds the processes of pg_upgrade, which accepts any number.
	maxJobs = 256
	// maxKeep bounds the age at which an old cluster goes; above it, 0 is meant.
	maxKeep = 3650 * 24 * time.Hour
	// maxMajor is above every major that there will be.
	maxMajor = 999
)

// MarkerKeys lists the keys of a marker.
func MarkerKeys() []string {
	return []string{"target", "mode", "jobs", "analyze", "reindex", "keep", "check_only", "rehearse", "trial"}
}

// markerKeys set what a key says; they return what is accepted where the value
// is not.
var markerKeys = map[string]func(m *marker, value string) (accepted string){
	"target":     setTarget,
	"jobs":       setJobs,
	"keep":       setKeep,
	"check_only": func(m *marker, v string) string { return setBool(&m.check, v) },
	"rehearse":   func(m *marker, v string) string { return setBool(&m.rehearse, v) },
	"trial":      setTrial,
	"mode": func(m *marker, v string) string {
		return setWord(&m.req.Mode, v, node.ModeAuto, node.ModeClone, node.ModeLink, node.ModeCopy)
	},
	"analyze": func(m *marker, v string) string {
		return setWord(&m.req.Analyze, v, node.AnalyzeStages, node.AnalyzeFull, node.AnalyzeOff)
	},
	"reindex": func(m *marker, v string) string {
		return setWord(&m.req.Reindex, v, node.ReindexAuto, node.ReindexChanged, node.ReindexOff)
	},
}

func setTarget(m *marker, value string) string {
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil || n < 1 || n > maxMajor {
		return "a major version such as 17"
	}
	m.req.Target = int(n)
	return ""
}

func setJobs(m *marker, value string) string {
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil || n < 1 || n > maxJobs {
		return fmt.Sprintf("a number from 1 to %d", maxJobs)
	}
	m.req.Jobs = int(n)
	return ""
}

func setKeep(m *marker, value string) string {
	d, ok := parseKeep(value)
	if !ok {
		return fmt.Sprintf("a duration such as 72h or 3d, up to %dd, or 0 to keep the old cluster until `pgbaton upgrade finish`", int(maxKeep/(24*time.Hour)))
	}
	m.req.Keep = d
	return ""
}

// parseKeep reads 72h, 3d or 1d12h.
func parseKeep(value string) (time.Duration, bool) {
	var days time.Duration
	if number, rest, found := strings.Cut(value, "d"); found {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, false
		}
		days, value = time.Duration(n)*24*time.Hour, rest
		if value == "" {
			value = "0"
		}
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > maxKeep || days+d > maxKeep {
		return 0, false
	}
	return days + d, true
}

func setTrial(m *marker, value string) string {
	switch strings.ToLower(value) {
	case "on", "true":
		m.req.NoTrial = false
	case "off", "false":
		m.req.NoTrial = true
	default:
		return "on or off"
	}
	return ""
}

func setBool(b *bool, value string) string {
	switch strings.ToLower(value) {
	case "true":
		*b = true
	case "false":
		*b = false
	default:
		return "true or false"
	}
	return ""
}

func setWord[T ~string](to *T, value string, words ...T) string {
	names := make([]string, len(words))
	for i, w := range words {
		if strings.EqualFold(value, string(w)) {
			*to = w
			return ""
		}
		names[i] = string(w)
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// FormatMarker is the marker that asks for r: ParseMarker reads it back as r.
// A marker cannot ask for undo and finish, and holds no Force.
func FormatMarker(r node.UpgradeRequest) []byte {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			b.WriteString(key + ": " + value + "\n")
		}
	}
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	line("target", number(r.Target))
	line("mode", string(r.Mode))
	line("jobs", number(r.Jobs))
	line("analyze", string(r.Analyze))
	line("reindex", string(r.Reindex))
	if r.Keep > 0 {
		line("keep", r.Keep.String())
	}
	switch r.Do {
	case node.UpgradeCheck:
		line("check_only", "true")
	case node.UpgradeRehearse:
		line("rehearse", "true")
	}
	if r.NoTrial {
		line("trial", "off")
	}
	return []byte(b.String())
}
