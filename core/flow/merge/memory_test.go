package merge

import (
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/change"
)

// peak counts what is allocated at a time.
type peak struct {
	memory.Allocator
	now, most atomic.Int64
}

func (p *peak) count(n int) {
	now := p.now.Add(int64(n))
	p.most.Store(max(p.most.Load(), now))
}

func (p *peak) Allocate(n int) []byte { p.count(n); return p.Allocator.Allocate(n) }

func (p *peak) Reallocate(n int, b []byte) []byte {
	p.count(n - len(b))
	return p.Allocator.Reallocate(n, b)
}

func (p *peak) Free(b []byte) { p.count(-len(b)); p.Allocator.Free(b) }

func TestMemoryIsBoundedWhateverTheUnit(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Net, History} {
		alloc := &peak{Allocator: memory.DefaultAllocator}
		settings := plainKey.settings(alloc, nil, t.TempDir())
		settings.Budget, settings.Mode, settings.BatchBytes = 48<<10, mode, 16<<10
		m := open(t, settings)
		if err := many(t, alloc, m, 150); err != nil {
			t.Fatal(err)
		}
		if err := drained(t, m); err != nil {
			t.Fatal(err)
		}
		if most := alloc.most.Load(); most > 256<<10 {
			t.Errorf("mode %d: %d bytes at a time with a budget of %d", mode, most, settings.Budget)
		}
	}
}

func TestOneKeyWithManyVersionsNeedsNoMoreMemory(t *testing.T) {
	t.Parallel()
	alloc := &peak{Allocator: memory.DefaultAllocator}
	settings := plainKey.settings(alloc, nil, t.TempDir())
	settings.Budget, settings.Mode, settings.BatchBytes = 256<<10, History, 64<<10
	m := open(t, settings)
	const versions = 40_000
	for n := range versions / 200 {
		var s []step
		for i := range 200 {
			s = append(s, step{op: change.Update, key: 1, before: -1, a: "1", s: "some text", n: n*200 + i + 1})
		}
		add(t, m, plainKey.batch(t, alloc, s))
	}
	rows := int64(0)
	for p, err := range m.Parts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Versions != nil {
			rows += p.Versions.NumRows()
		}
	}
	if most := alloc.most.Load(); rows != versions || most > 1<<20 {
		t.Errorf("%d versions, expected %d; %d bytes at a time with a budget of %d", rows, versions, most, settings.Budget)
	}
}
