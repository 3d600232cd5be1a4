package yamltree

import (
	"slices"
	"strings"
)

// Suggest is a hint for a word that is not among the allowed ones: the nearest of them, or all of
// them where none is near.
func Suggest(word string, allowed []string) string {
	if near := Near(word, allowed); near != "" {
		return near
	}
	if len(allowed) == 0 || len(allowed) > 20 {
		return ""
	}
	return "allowed here: " + strings.Join(slices.Sorted(slices.Values(allowed)), ", ")
}

// Near is a hint for the allowed word that is nearest to one that isn't; empty where none is near.
func Near(word string, allowed []string) string {
	if near := nearest(word, allowed); near != "" {
		return `did you mean "` + near + `"?`
	}
	return ""
}

func nearest(word string, allowed []string) string {
	best, bestDistance := "", max(1, min(3, len(word)/3))+1
	for _, candidate := range slices.Sorted(slices.Values(allowed)) {
		if d := distance(strings.ToLower(word), strings.ToLower(candidate), bestDistance); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	for _, candidate := range allowed {
		if strings.HasPrefix(candidate, strings.ToLower(word)) {
			return candidate
		}
	}
	return ""
}

// distance counts the insertions, deletions, substitutions and swaps of neighbours between two words
// (optimal string alignment); words whose lengths alone exceed the bound get the bound.
func distance(a, b string, bound int) int {
	if len(a)-len(b) >= bound || len(b)-len(a) >= bound {
		return bound
	}
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
