package filter

import (
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// texts is what the three layouts of text have in common; Value copies nothing.
type texts interface {
	arrow.Array
	Value(i int) string
}

// textTest compares text with a constant, by bytes.
type textTest struct {
	op    Op
	value string
}

func (t textTest) run(values arrow.Array, dst []uint64) {
	of := values.(texts)
	clear(dst)
	if t.op == Equal || t.op == NotEqual {
		for i := range of.Len() {
			if (of.Value(i) == t.value) == (t.op == Equal) {
				dst[i/64] |= 1 << (i % 64)
			}
		}
	} else {
		for i := range of.Len() {
			if t.op.holds(strings.Compare(of.Value(i), t.value)) {
				dst[i/64] |= 1 << (i % 64)
			}
		}
	}
	dropNulls(values, dst)
}

// textSet looks text up in a set.
type textSet struct {
	set  map[string]struct{}
	list []string
}

func newTextSet(values []Value) textSet {
	t := textSet{set: make(map[string]struct{}, len(values))}
	for _, v := range values {
		if _, seen := t.set[v.text]; !seen {
			t.set[v.text] = struct{}{}
			t.list = append(t.list, v.text)
		}
	}
	return t
}

func (t textSet) run(values arrow.Array, dst []uint64) {
	of := values.(texts)
	clear(dst)
	for i := range of.Len() {
		if _, in := t.set[of.Value(i)]; in {
			dst[i/64] |= 1 << (i % 64)
		}
	}
	dropNulls(values, dst)
}

// affixTest tests what text starts with, ends with or contains.
type affixTest struct {
	op    TextOp
	value string
}

func (t affixTest) run(values arrow.Array, dst []uint64) {
	of := values.(texts)
	test := map[TextOp]func(s, part string) bool{Starts: strings.HasPrefix, Ends: strings.HasSuffix, Contains: strings.Contains}[t.op]
	clear(dst)
	for i := range of.Len() {
		if test(of.Value(i), t.value) {
			dst[i/64] |= 1 << (i % 64)
		}
	}
	dropNulls(values, dst)
}
