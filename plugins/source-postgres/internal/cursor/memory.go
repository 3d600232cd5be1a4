package cursor

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
)

// Memory knows the rows that were emitted and may be met again.
type Memory struct {
	window int64
	most   int
	column string
	last   int64 // the greatest value that was emitted
	floor  int64 // what is remembered is complete from here on
	rows   []position.Row
	seen   map[uint64]struct{}

	current int64 // value of the row that was asked for last
	same    int   // rows with it that were emitted
	// Forgot is how many rows had to be forgotten because there were too many: late ones among or before them are not caught.
	Forgot int
}

// NewMemory takes up what a position has; at is nil at the first read. At most so many rows are remembered.
func NewMemory(column Column, at *position.Cursor, window int64, most int) *Memory {
	m := &Memory{window: window, most: most, column: column.Name, last: math.MinInt64, floor: math.MinInt64, seen: map[uint64]struct{}{}}
	m.current = math.MinInt64
	if at == nil {
		return m
	}
	m.last, m.floor, m.rows = at.Last, at.Floor, slices.Clone(at.Seen)
	for _, r := range m.rows {
		m.seen[r.Hash] = struct{}{}
	}
	return m
}

// Hash is of a row's cursor and key in binary form.
func Hash(fields [][]byte) uint64 {
	sum := fnv.New64a()
	for _, f := range fields {
		_, _ = sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(f)))) //nolint:gosec // fields are under 1 GiB
		_, _ = sum.Write(f)
	}
	h := sum.Sum64() // FNV's last bytes don't reach all bits: they are spread
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// New says whether a row was not emitted before, and remembers it. Rows come in the order of the cursor, each once in a read.
func (m *Memory) New(at int64, hash uint64) bool {
	if at != m.current {
		m.current, m.same = at, 0
	}
	if _, known := m.seen[hash]; known {
		return false
	}
	m.last = max(m.last, at)
	if m.same++; m.same > m.most {
		m.Forgot++
		m.floor = max(m.floor, at+1)
		return true
	}
	m.seen[hash] = struct{}{}
	m.rows = append(m.rows, position.Row{At: at, Hash: hash})
	if len(m.rows) > 4*m.most {
		m.tidy()
	}
	return true
}

// Resumable says whether a read could go on from here: not in the middle of more rows with one value than are remembered.
func (m *Memory) Resumable() bool { return m.same <= m.most }

// tidy forgets rows that this read has passed: those that will never be asked for again, and if need be the oldest others.
func (m *Memory) tidy() {
	m.raise(m.lowest())
	if len(m.rows) > 2*m.most {
		m.shrink(m.current)
	}
}

// lowest is what the next read asks for.
func (m *Memory) lowest() int64 {
	if m.last < math.MinInt64+m.window {
		return m.floor
	}
	return max(m.floor, m.last-m.window)
}

// raise forgets the rows below a value.
func (m *Memory) raise(floor int64) {
	m.floor = floor
	m.rows = slices.DeleteFunc(m.rows, func(r position.Row) bool {
		if r.At >= floor {
			return false
		}
		delete(m.seen, r.Hash)
		return true
	})
}

// shrink forgets the oldest rows until there are no more than the most, but none from a value on.
func (m *Memory) shrink(from int64) {
	if len(m.rows) <= m.most {
		return
	}
	values := make([]int64, len(m.rows))
	for i, r := range m.rows {
		values[i] = r.At
	}
	slices.Sort(values)
	floor := min(values[len(values)-m.most-1]+1, from)
	before := len(m.rows)
	m.raise(max(m.floor, floor))
	m.Forgot += before - len(m.rows)
}

// Cursor is what a position keeps; nil if nothing was ever emitted. It is taken where Resumable says so, or at the end of a read.
func (m *Memory) Cursor() *position.Cursor {
	if m.last == math.MinInt64 {
		return nil
	}
	kept := *m
	kept.rows, kept.seen = slices.Clone(m.rows), map[uint64]struct{}{}
	kept.raise(kept.lowest())
	kept.shrink(math.MaxInt64)
	m.Forgot = kept.Forgot
	return &position.Cursor{Column: m.column, Last: m.last, Floor: kept.floor, Seen: kept.rows}
}
