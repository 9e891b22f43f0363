package config

import "strings"

// didYouMean is the end of a sentence that names the candidate nearest to name,
// or nothing when none is near.
func didYouMean(name string, candidates []string) string {
	if best := nearest(name, candidates); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

// nearest returns the candidate with the fewest edits, or nothing if more than
// a third of the name would have to change. Case and dashes do not count.
func nearest(name string, candidates []string) string {
	best, bestEdits, wanted := "", 0, fold(name)
	for _, candidate := range candidates {
		folded := fold(candidate)
		limit := max(2, len(folded)/3)
		if abs(len(wanted)-len(folded)) > limit { // also keeps a huge name cheap
			continue
		}
		n := edits(wanted, folded)
		if n <= limit && (best == "" || n < bestEdits) {
			best, bestEdits = candidate, n
		}
	}
	return best
}

// fold removes what people confuse without meaning another setting, and the
// prefix, which would make every variable look near to every other.
func fold(name string) string {
	name = strings.ReplaceAll(strings.ToUpper(name), "-", "_")
	return strings.TrimPrefix(name, prefix)
}

// edits counts the insertions, deletions, replacements and swaps of neighbours
// that turn a into b.
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// abs is the distance of n from 0.
func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
