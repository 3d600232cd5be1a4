package upkeep

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layout makes files of one flow, one unit each, the oldest first.
func layout(sizes ...int64) []file {
	var out []file
	for i, size := range sizes {
		out = append(out, file{bytes: size, flow: "f", first: int64(i + 1), last: int64(i + 1)})
	}
	return out
}

func repeat(size int64, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = size
	}
	return out
}

func anything(file) bool { return true }

func TestGroups(t *testing.T) {
	t.Parallel()
	c := Compact{Below: 100, Files: 4, Target: 300}
	cases := map[string]struct {
		files   []file
		movable func(file) bool
		want    [][]int64 // sizes
	}{
		"too few":                       {layout(1, 1, 1), anything, nil},
		"enough":                        {layout(1, 1, 1, 1), anything, [][]int64{{1, 1, 1, 1}}},
		"none":                          {nil, anything, nil},
		"a large file lies between":     {layout(1, 1, 1, 100, 1, 1, 1), anything, nil},
		"on both sides of a large file": {layout(1, 1, 1, 1, 100, 2, 2, 2, 2), anything, [][]int64{{1, 1, 1, 1}, {2, 2, 2, 2}}},
		"what may not be touched cuts":  {layout(1, 1, 1, 1, 1, 1), func(f file) bool { return f.first != 3 }, nil},
		"a much larger one stays":       {layout(90, 1, 1, 1, 1), anything, [][]int64{{1, 1, 1, 1}}},
		"one as large as the rest goes": {layout(4, 1, 1, 1, 1), anything, [][]int64{{4, 1, 1, 1, 1}}},
		"a small newest one":            {layout(10, 10, 10, 10, 1), anything, [][]int64{{10, 10, 10, 10}}},
		"cut at the target":             {layout(repeat(99, 7)...), anything, [][]int64{{99, 99, 99}, {99, 99, 99}}},
		"a crowd, whatever the sizes":   {layout(90, 40, 20, 10, 5, 2, 1, 90, 40, 20, 10, 5, 2, 1, 2, 1), anything, [][]int64{{40, 20, 10, 5, 2, 1, 90, 40, 20, 10, 5, 2, 1, 2, 1}}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got [][]int64
			for _, g := range groups(test.files, c, test.movable) {
				var sizes []int64
				for _, f := range g {
					sizes = append(sizes, f.bytes)
				}
				got = append(got, sizes)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFlowsAreNotMixedAndOverlapsNotMerged(t *testing.T) {
	t.Parallel()
	c := Compact{Below: 100, Files: 2, Target: 300}
	files := []file{
		{path: "a", bytes: 1, flow: "f", first: 1, last: 5}, {path: "b", bytes: 1, flow: "g", first: 2, last: 2},
		{path: "c", bytes: 1, flow: "f", first: 5, last: 9}, {path: "d", bytes: 1, flow: "f", first: 7, last: 7},
		{path: "e", bytes: 1, flow: "g", first: 3, last: 3}, {path: "f", bytes: 1, flow: "f", first: 8, last: 8},
	}
	var got []string
	for _, g := range groups(files, c, anything) {
		text := ""
		for _, f := range g {
			text += f.path
		}
		got = append(got, text)
	}
	if diff := cmp.Diff([]string{"ac", "df", "be"}, got); diff != "" {
		t.Error(diff)
	}
}

// However the sizes of units vary, few small files remain, and a row is written again only a few times.
func TestFewFilesRemainAndRowsAreSeldomWrittenAgain(t *testing.T) {
	t.Parallel()
	c := Defaults().Compact
	random := rand.New(rand.NewPCG(1, 2))
	var files []file
	var written, rewritten int64
	for seq := int64(1); seq <= 5000; seq++ {
		size := int64(1) << random.IntN(21)
		written += size
		files = append(files, file{bytes: size, flow: "f", first: seq, last: seq})
		if seq%50 != 0 {
			continue
		}
		for _, g := range groups(files, c, anything) {
			rewritten += bytesOf(g)
			whole := file{bytes: bytesOf(g), flow: "f", first: g[0].first, last: g[len(g)-1].last}
			kept := files[:0:0]
			for _, f := range files {
				switch {
				case f.first == whole.first:
					kept = append(kept, whole)
				case f.first < whole.first || f.first > whole.last:
					kept = append(kept, f)
				}
			}
			files = kept
		}
	}
	small := 0
	for _, f := range files {
		if f.bytes < c.Below {
			small++
		}
	}
	if small > crowd*c.Files+50 || rewritten > 12*written {
		t.Errorf("%d small files remain, %d bytes were written again for %d", small, rewritten, written)
	}
}
