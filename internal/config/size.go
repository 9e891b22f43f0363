package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// units are PostgreSQL's memory units, largest first. They are multiples of
// 1024 and case-sensitive
// (https://www.postgresql.org/docs/current/config-setting.html).
var units = []struct {
	name  string
	bytes int64
}{{"TB", 1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"kB", 1 << 10}, {"B", 1}}

// ParseSize reads a number of bytes in PostgreSQL's spelling: a whole number,
// with or without one of the units B, kB, MB, GB, TB. Without a unit it is bytes.
func ParseSize(text string) (int64, error) {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, unit := range units {
		if rest, found := strings.CutSuffix(number, unit.name); found {
			number, factor = strings.TrimSpace(rest), unit.bytes
			break
		}
	}
	value, err := strconv.ParseUint(number, 10, 63)
	if err != nil || value > uint64(math.MaxInt64/factor) {
		return 0, fmt.Errorf("read %.40q as a size: not a whole number with B, kB, MB, GB, TB or no unit, or too large", text)
	}
	return int64(value) * factor, nil
}

// FormatSize writes bytes with the largest unit that leaves a whole number, so
// that ParseSize gives them back.
func FormatSize(bytes int64) string {
	for _, unit := range units {
		if unit.bytes > 1 && bytes != 0 && bytes%unit.bytes == 0 {
			return strconv.FormatInt(bytes/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(bytes, 10)
}
