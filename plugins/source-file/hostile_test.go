package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// hostile is a file that nobody should have to read, and what becomes of it: rows, rejections as "code origin: reason" (a star at the
// end stands for anything), and what is kept of the rejected records.
type hostile struct {
	name, file, content, settings string
	rows, rejects, raw            []string
}

// check reads the file. Whatever it is, the read must end without an error, with its rejections in order, and a second read from the
// last position must find nothing more to do.
func (h hostile) check(t *testing.T) {
	t.Helper()
	path := write(t, filepath.Join(t.TempDir(), h.file), []byte(h.content))
	settings := fmt.Sprintf(`{"path": %q, "stream": "a"%s}`, path, h.settings)
	rec := readHostile(t, settings)
	if diff := cmp.Diff(h.rows, lines(t, rec, "a")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(h.rejects, starred(h.rejects, rejects(rec))); diff != "" {
		t.Errorf("rejections (-want +got):\n%s", diff)
	}
	var raw []string
	for _, r := range rec.Rejections {
		raw = append(raw, string(r.Raw))
	}
	if h.raw != nil {
		if diff := cmp.Diff(h.raw, raw); diff != "" {
			t.Errorf("what was kept (-want +got):\n%s", diff)
		}
	}
}

// starred puts the star where a rejection fits one.
func starred(want, got []string) []string {
	for i, w := range want {
		if head, ok := strings.CutSuffix(w, "*"); ok && i < len(got) && strings.HasPrefix(got[i], head) {
			got[i] = w
		}
	}
	return got
}

// readHostile reads to the end, and again from there.
func readHostile(t *testing.T, settings string) *plugintest.Recorder {
	t.Helper()
	rec := readUnchecked(t, settings, nil)
	for _, r := range rec.Rejections {
		if r.Stream != "a" || r.Row != sdk.NoRow || r.Code == "" || r.Reason == "" || len(r.Reason) > 1100 || len(r.Raw) > 64<<10 {
			t.Errorf("rejection %.2000v", r)
		}
	}
	again := readUnchecked(t, settings, lastPosition(t, rec))
	if again.Rows("a") > 0 || len(again.Rejections) > 0 {
		t.Errorf("a second read gives %d rows and rejections %v", again.Rows("a"), rejects(again))
	}
	return rec
}

// readUnchecked uses an allocator that does not count: Arrow's readers don't give back what they took for a file that is damaged.
func readUnchecked(t *testing.T, settings string, pos sdk.Position) *plugintest.Recorder {
	t.Helper()
	s := newSource(t, settings)
	s.env = sdk.Env{Log: hclog.NewNullLogger(), Alloc: memory.NewGoAllocator()}
	return read(t, s, pos)
}

func runHostile(t *testing.T, cases []hostile) {
	t.Helper()
	for _, h := range cases {
		t.Run(h.file+" "+h.name, func(t *testing.T) {
			t.Parallel()
			h.check(t)
		})
	}
}

// everyName is a file name of each way in which a file is read.
var everyName = []string{
	"a.csv", "a.csv.gz", "a.csv.zst", "a.tsv", "a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.json", "a.json.gz", "a.parquet", "a.arrow", "a.feather",
}

func TestRandomBytesAreRejectedInEveryFormat(t *testing.T) {
	t.Parallel()
	for _, name := range everyName {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				random := rand.New(rand.NewPCG(seed, 0))
				noise := make([]byte, 1+random.IntN(1<<(2+seed%15)))
				for i := range noise {
					noise[i] = byte(random.Uint32())
				}
				path := write(t, filepath.Join(t.TempDir(), name), noise)
				rec := readHostile(t, fmt.Sprintf(`{"path": %q, "stream": "a"}`, path))
				if len(noise) > 64 && len(rec.Rejections) == 0 {
					t.Errorf("seed %d: %d bytes, %d rows and no rejection", seed, len(noise), rec.Rows("a"))
				}
			}
		})
	}
}

// TestNoiseOfTheFormatsOwnCharactersIsRead has text that looks like the formats.
func TestNoiseOfTheFormatsOwnCharactersIsRead(t *testing.T) {
	t.Parallel()
	alphabets := map[string]string{
		"a.csv": "ab1,\"\n\r\n ", "a.tsv": "ab1\t\"\n", "a.jsonl": "{}[]\":,1eatrue\\\n \u00e9", "a.json": "{}[]\":,1eatrue\\\n ",
	}
	for name, alphabet := range alphabets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(50) {
				random := rand.New(rand.NewPCG(seed, 1))
				noise := make([]byte, 1+random.IntN(3000))
				for i := range noise {
					noise[i] = alphabet[random.IntN(len(alphabet))]
				}
				path := write(t, filepath.Join(t.TempDir(), name), noise)
				readHostile(t, fmt.Sprintf(`{"path": %q, "stream": "a", "batch_rows": %d}`, path, 1+seed%7))
			}
		})
	}
}
