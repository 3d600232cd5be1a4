package mask

import (
	"context"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// redacted stands for a value that must not be seen.
const redacted = "***"

type nullMask struct{}

func (nullMask) bind(in arrow.DataType) (bound, *ArgError) {
	return bound{out: in, nullable: true, run: func(_ context.Context, c *call, values arrow.Array) (arrow.Array, error) {
		return array.MakeArrayOfNull(c.alloc, in, values.Len()), nil
	}}, nil
}

type redact struct{ with string }

func parseRedact(args *argReader) method { return &redact{with: args.text("with", redacted)} }

func (m *redact) bind(arrow.DataType) (bound, *ArgError) {
	return bound{out: arrow.BinaryTypes.String, run: m.run}, nil
}

func (m *redact) run(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
	n := nullsOf(in)
	w := newTextWriter(c.alloc, in.Len(), (in.Len()-n.count)*len(m.with))
	for i := range in.Len() {
		if n.at(i) {
			w.next(0)
			continue
		}
		w.text(m.with)
	}
	return w.finish(n)
}

type partial struct {
	first, last int
	with        string // one rune
}

const maxKept = 1000

func parsePartial(args *argReader) method {
	m := &partial{
		first: args.whole("keep_first", 0, maxKept, 0),
		last:  args.whole("keep_last", 0, maxKept, 0),
		with:  args.text("with", "*"),
	}
	if !args.has("keep_first") && !args.has("keep_last") {
		args.fault("keep_first", "is missing, and so is keep_last", "at least one of them")
	}
	if utf8.RuneCountInString(m.with) != 1 {
		args.fault("with", "is "+shown(m.with), "one character")
		m.with = "*"
	}
	return m
}

func (m *partial) bind(in arrow.DataType) (bound, *ArgError) {
	if !isText(in) {
		return bound{}, &ArgError{Problem: "it can't be kept in part", Allowed: "text columns; for others redact, hash, constant and null"}
	}
	return bound{out: arrow.BinaryTypes.String, run: m.run}, nil
}

func (m *partial) run(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
	n := nullsOf(in)
	values := textsOf(in, &n)
	w := newTextWriter(c.alloc, in.Len(), values.size)
	for i := range in.Len() {
		if n.at(i) {
			w.next(0)
			continue
		}
		m.write(w, values.at(i))
	}
	return w.finish(n)
}

// write keeps the ends of a value and its number of runes. A byte that is not UTF-8 counts as a rune.
func (m *partial) write(w *textWriter, v string) {
	runes := utf8.RuneCountInString(v)
	first, last := m.first, m.last
	if runes <= first+last {
		first, last = 0, 0
	}
	head, tail := first, len(v)-last
	if runes != len(v) {
		head, tail = runesFromStart(v, first), runesFromEnd(v, last)
	}
	hidden := (runes - first - last) * len(m.with)
	size := head + hidden + len(v) - tail
	out := w.room(size)
	copy(out, v[:head])
	fill(out[head:head+hidden], m.with)
	copy(out[head+hidden:], v[tail:])
	w.next(size)
}

func runesFromStart(v string, n int) int {
	at := 0
	for range n {
		_, size := utf8.DecodeRuneInString(v[at:])
		at += size
	}
	return at
}

func runesFromEnd(v string, n int) int {
	at := len(v)
	for range n {
		_, size := utf8.DecodeLastRuneInString(v[:at])
		at -= size
	}
	return at
}

func fill(out []byte, with string) {
	if len(with) == 1 {
		for i := range out {
			out[i] = with[0]
		}
		return
	}
	for at := 0; at < len(out); at += len(with) {
		copy(out[at:], with)
	}
}
