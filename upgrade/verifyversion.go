package upgrade

import (
	"strconv"
	"strings"
)

// NewerVersion reports whether an extension's version a comes after b, number by
// number. PostgreSQL gives versions no order; where one is no number, a is taken
// for the newer.
func NewerVersion(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		m, errM := part(x, i)
		n, errN := part(y, i)
		switch {
		case errM != nil || errN != nil:
			return a != b
		case m != n:
			return m > n
		}
	}
	return false
}

func part(s []string, i int) (int, error) {
	if i >= len(s) {
		return 0, nil
	}
	return strconv.Atoi(s[i])
}
