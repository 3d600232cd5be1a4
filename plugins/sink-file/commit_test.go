package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

// The units of the story; one of them has no rows.
const (
	unitsOfStory = 3
	emptyUnit    = 2
)

// deliver writes and commits the units behind the mark: two streams with several files each.
func (g *target) deliver(s *Sink, epoch uint64, from sdk.Mark) error {
	for seq := from.Seq + 1; seq <= unitsOfStory; seq++ {
		for part := range 2 {
			if seq == emptyUnit {
				break
			}
			for i, stream := range []string{"orders", "items"} {
				first := int64(seq)*1000 + int64(part)*100 + int64(i)*10
				if _, err := s.Write(g.t.Context(), sdk.Batch{Stream: stream, Version: 1, Record: rows(first, 4)}); err != nil {
					return err
				}
			}
		}
		if _, err := s.Commit(g.t.Context(), mark(epoch, seq)); err != nil {
			return err
		}
	}
	return nil
}

// story is the tree that an undisturbed run leaves, and all that it did to the disk.
func story(t *testing.T, mode sdk.WriteMode) (map[string]string, []string) {
	t.Helper()
	g := newTarget(t, mode, several)
	m := &mortal{left: 1 << 30}
	s := g.open(func(d disk) disk { m.disk = d; return m })
	if _, err := s.Begin(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := g.deliver(s, 1, sdk.Mark{}); err != nil {
		t.Fatal(err)
	}
	g.settled()
	return g.tree(), m.steps
}

// several makes a unit have several files per stream.
func several(c *Config) { c.FileSize = 1 }

func TestDeathAtAnyStepLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range []sdk.WriteMode{sdk.Append, sdk.Overwrite} {
		want, steps := story(t, mode)
		if len(want) == 0 {
			t.Fatal("the story leaves no files that could be lost")
		}
		begin := 0
		if mode == sdk.Overwrite {
			begin = recordOf(emptyUnit, steps) // before that there is nothing to replace, as in append
		}
		for n := begin; n < len(steps); n++ {
			for _, after := range []bool{false, true} {
				// Death before a step is death after the one before, unless it leaves half a write.
				if !after && !strings.HasPrefix(steps[n], "write") {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d %v %s", mode, n, after, strings.Fields(steps[n])[0]), func(t *testing.T) {
					t.Parallel()
					g := newTarget(t, mode, several)
					g.die(n, after, 1, want)
					last := g.resume(2)
					if diff := cmp.Diff(want, g.tree()); diff != "" {
						t.Errorf("after death at %q:\n%s", steps[n], diff)
					}
					if last.Seq > unitsOfStory {
						t.Errorf("mark %+v", last)
					}
					g.settled()
				})
			}
		}
	}
}

// recordOf is the step that commits a unit.
func recordOf(seq int, steps []string) int {
	return slices.IndexFunc(steps, func(s string) bool { return strings.HasSuffix(s, fmt.Sprintf(" %s/%012d.json", commitsOfStory, seq)) })
}

const commitsOfStory = home + "/shop%2Forders/commits"

// die runs the story until the disk dies, and checks what readers see then.
func (g *target) die(n int, after bool, epoch uint64, want map[string]string) {
	g.t.Helper()
	m := &mortal{left: n, after: after}
	s := g.open(func(d disk) disk { m.disk = d; return m })
	from, err := s.Begin(g.t.Context(), epoch)
	if err == nil {
		err = g.deliver(s, epoch, from)
	}
	if err != nil && !errors.Is(err, errKilled) {
		g.t.Fatal(err)
	}
	_ = s.Close(g.t.Context())
	listed := g.listed()
	for name, content := range g.tree() {
		if !slices.Contains(listed, name) {
			g.t.Errorf("%s is there and in no record", name)
		}
		if whole, known := want[name]; known && whole != content {
			g.t.Errorf("%s is not whole: %q", name, content)
		}
	}
}

// resume is the next process: it takes over and delivers what is not committed.
func (g *target) resume(epoch uint64) sdk.Mark {
	g.t.Helper()
	s := g.open(func(d disk) disk { return &mortal{disk: d, left: 1 << 30} })
	from, err := s.Begin(g.t.Context(), epoch)
	if err == nil {
		err = g.deliver(s, epoch, from)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return from
}

func TestDeathDuringRecoveryIsRecoveredFrom(t *testing.T) {
	t.Parallel()
	for _, mode := range []sdk.WriteMode{sdk.Append, sdk.Overwrite} {
		want, steps := story(t, mode)
		first := recordOf(unitsOfStory, steps) + 1
		for n := first; n < len(steps) && n < first+8; n += 4 {
			for again := range 16 {
				t.Run(fmt.Sprintf("%s/%d/%d", mode, n, again), func(t *testing.T) {
					t.Parallel()
					g := newTarget(t, mode, several)
					g.die(n, false, 1, want)
					g.die(again, again%2 == 0, 2, want)
					g.resume(3)
					if diff := cmp.Diff(want, g.tree()); diff != "" {
						t.Error(diff)
					}
					g.settled()
				})
			}
		}
	}
}

// Everything is synced before the record that counts on it, and the record before what counts on that: what a kill can't show
// and a power failure would.
func TestCommitSyncsBeforeItCounts(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Overwrite, func(*Config) {})
	m := &mortal{left: 1 << 30}
	s := g.open(func(d disk) disk { m.disk = d; return m })
	if _, err := s.Begin(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 2; seq++ {
		m.steps = nil
		if _, err := s.Write(t.Context(), sdk.Batch{Stream: "orders", Version: 1, Record: rows(1, 1)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), mark(7, seq)); err != nil {
			t.Fatal(err)
		}
	}
	short := strings.NewReplacer(".qanat-sink/shop%2Forders/", "", s.self.Instance, "x")
	got := short.Replace(strings.Join(m.steps, "\n"))
	want := strings.TrimSpace(`
mkdir staging/7-x-2
create staging/7-x-2/0001.jsonl
write staging/7-x-2/0001.jsonl
sync file staging/7-x-2/0001.jsonl
close staging/7-x-2/0001.jsonl
sync staging/7-x-2
mkdir orders
create commits/000000000002.json.next
write commits/000000000002.json.next
sync file commits/000000000002.json.next
close commits/000000000002.json.next
rename commits/000000000002.json.next commits/000000000002.json
sync commits
rename staging/7-x-2/0001.jsonl orders/shop%2Forders-000000000002.jsonl
sync orders
remove orders/shop%2Forders-000000000001.jsonl
sync orders
remove commits/000000000001.json
remove staging/7-x-2`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
