package filter

import (
	"slices"
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
	set     map[string]struct{}
	list    []string
	lengths uint64 // bit n is set if there is a text of n bytes; the last bit, of 63 or more
}

// fewTexts is how many comparisons cost less than a look-up.
const fewTexts = 8

func lengthBit(s string) uint64 { return 1 << min(len(s), 63) }

func newTextSet(values []Value) textSet {
	t := textSet{set: make(map[string]struct{}, len(values))}
	for _, v := range values {
		if _, seen := t.set[v.text]; !seen {
			t.set[v.text] = struct{}{}
			t.list = append(t.list, v.text)
			t.lengths |= lengthBit(v.text)
		}
	}
	return t
}

func (t textSet) run(values arrow.Array, dst []uint64) {
	of := values.(texts)
	clear(dst)
	for i := range of.Len() {
		if s := of.Value(i); t.lengths&lengthBit(s) != 0 && t.has(s) {
			dst[i/64] |= 1 << (i % 64)
		}
	}
	dropNulls(values, dst)
}

func (t textSet) has(s string) bool {
	if len(t.list) <= fewTexts {
		return slices.Contains(t.list, s)
	}
	_, in := t.set[s]
	return in
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
