package filter

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// node is a bound predicate. eval writes one bit per row, set where the node is true; bits past the last row are free.
type node interface {
	eval(f *frame, dst []uint64)
	sql(w *writer)
}

// frame is one run over a batch: its columns and bitmaps to work in.
type frame struct {
	columns []arrow.Array
	rows    int
	free    [][]uint64
}

func words(rows int) int { return (rows + 63) / 64 }

func (f *frame) take() []uint64 {
	if n := len(f.free); n > 0 {
		b := f.free[n-1]
		f.free = f.free[:n-1]
		return b
	}
	return make([]uint64, words(f.rows))
}

func (f *frame) give(b []uint64) { f.free = append(f.free, b) }

type (
	andNode   []node
	orNode    []node
	notNode   struct{ of node }
	constNode bool
)

func (n andNode) eval(f *frame, dst []uint64) {
	constNode(true).eval(f, dst)
	part := f.take()
	defer f.give(part)
	for i, child := range n {
		if i == 0 {
			child.eval(f, dst)
			continue
		}
		child.eval(f, part)
		for w := range dst {
			dst[w] &= part[w]
		}
	}
}

func (n orNode) eval(f *frame, dst []uint64) {
	clear(dst)
	part := f.take()
	defer f.give(part)
	for i, child := range n {
		if i == 0 {
			child.eval(f, dst)
			continue
		}
		child.eval(f, part)
		for w := range dst {
			dst[w] |= part[w]
		}
	}
}

func (n notNode) eval(f *frame, dst []uint64) {
	n.of.eval(f, dst)
	for w := range dst {
		dst[w] = ^dst[w]
	}
}

func (n constNode) eval(_ *frame, dst []uint64) {
	clear(dst)
	if n {
		for w := range dst {
			dst[w] = ^uint64(0)
		}
	}
}

// test is a condition on the values of one column. run sets the bits of the rows for which it is true, never those of
// nulls; it is given arrays of the type it was made for, never a dictionary.
type test interface {
	run(values arrow.Array, dst []uint64)
	sql(c column, w *writer)
}

// leaf tests a column.
type leaf struct {
	column column
	test   test
}

func (n leaf) eval(f *frame, dst []uint64) {
	values := f.columns[n.column.index]
	encoded, ok := values.(*array.Dictionary)
	if !ok {
		n.test.run(values, dst)
		return
	}
	entries := encoded.Dictionary()
	passing := make([]uint64, words(entries.Len()))
	n.test.run(entries, passing)
	clear(dst)
	for i := range encoded.Len() {
		if encoded.IsNull(i) {
			continue
		}
		at := encoded.GetValueIndex(i)
		dst[i/64] |= (passing[at/64] >> (at % 64) & 1) << (i % 64)
	}
}

func (n leaf) sql(w *writer) { n.test.sql(n.column, w) }
