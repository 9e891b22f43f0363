package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Mounts are the mount points that this process sees, files too.
func Mounts() ([]string, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	return parseMounts(string(raw)), nil
}

// parseMounts reads the mount points of /proc/self/mountinfo (field 5, with
// blanks and the like as octal escapes).
func parseMounts(mountinfo string) []string {
	var mounts []string
	for line := range strings.Lines(mountinfo) {
		if f := strings.Fields(line); len(f) > 4 {
			mounts = append(mounts, unescape(f[4]))
		}
	}
	return mounts
}

func unescape(s string) string {
	for _, code := range []string{"040", "011", "012", "134"} {
		n, _ := strconv.ParseUint(code, 8, 8)
		s = strings.ReplaceAll(s, `\`+code, string(rune(n)))
	}
	return s
}
