package upkeep

import (
	"cmp"
	"slices"

	"github.com/qanat-data/qanat/core/zone/live"
)

// crowd times Compact.Files is how many small files may lie together before they are put together whatever their sizes.
const crowd = 4

// file is a data file and the units that its rows are of.
type file struct {
	entry       live.Entry
	path        string
	bytes       int64
	deleted     int64 // rows that its vector deletes
	flow        string
	first, last int64
	part        int // of its first unit
}

// hollow tells whether too many of its rows are deleted.
func (f file) hollow(c Compact) bool {
	return f.deleted > 0 && c.hollow(f.entry.File.Count(), f.deleted)
}

// groups are the files to put together, each group into one row of files in the order of the flow's units. A group holds files
// of one flow that lie side by side, so that reading files in the order of their first unit gives rows in the order of units,
// before and after. movable says which files may be touched.
func groups(files []file, c Compact, movable func(file) bool) [][]file {
	byFlow := map[string][]file{}
	var flows []string
	for _, f := range files {
		if _, known := byFlow[f.flow]; !known {
			flows = append(flows, f.flow)
		}
		byFlow[f.flow] = append(byFlow[f.flow], f)
	}
	slices.Sort(flows)
	var out [][]file
	for _, flow := range flows {
		together := map[string]bool{}
		for _, run := range runs(byFlow[flow], c, movable) {
			for _, g := range geometric(run, c) {
				out = append(out, g)
				for _, f := range g {
					together[f.path] = true
				}
			}
		}
		for _, f := range byFlow[flow] { // in the place where it lies, each
			if !together[f.path] && movable(f) && f.hollow(c) {
				out = append(out, []file{f})
			}
		}
	}
	return out
}

// runs cuts the files of a flow where one must stay, or where units lie across each other.
func runs(files []file, c Compact, movable func(file) bool) [][]file {
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last), cmp.Compare(a.part, b.part), cmp.Compare(a.path, b.path))
	})
	var out [][]file
	var run []file
	for _, f := range files {
		stays := f.bytes >= c.Below || !movable(f)
		if len(run) > 0 && (stays || f.first < run[len(run)-1].last) {
			out, run = append(out, run), nil
		}
		if !stays {
			run = append(run, f)
		}
	}
	if len(run) > 0 {
		out = append(out, run)
	}
	return out
}

// geometric takes files from the newest back, as long as the next is not larger than those before it together: so each row is
// written anew only as often as its file can double, and few files remain.
func geometric(run []file, c Compact) [][]file {
	crowded := len(run) >= crowd*c.Files
	var out [][]file
	end := len(run)
	var sum int64
	for i := end - 1; i >= 0; i-- {
		count := end - 1 - i // files taken
		full := sum+run[i].bytes > c.Target
		if count > 0 && (full || (!crowded && run[i].bytes > sum)) {
			if count >= c.Files || (full && count > 1 && len(run) >= c.Files) {
				out = append(out, run[i+1:end])
			}
			end, sum = i+1, 0
		}
		sum += run[i].bytes
	}
	if end >= c.Files {
		out = append(out, run[:end])
	}
	slices.Reverse(out)
	return out
}

func bytesOf(files []file) int64 {
	var sum int64
	for _, f := range files {
		sum += f.bytes
	}
	return sum
}
