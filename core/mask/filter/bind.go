package filter

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// Filter is a predicate bound to a schema. It is immutable and safe for concurrent use.
type Filter struct {
	root   node
	schema *arrow.Schema
	reads  []int // the columns that the predicate reads
	of     Predicate
}

// ColumnError says why a predicate doesn't fit a schema, for one column.
type ColumnError struct {
	Column  string
	Problem string
}

func (e *ColumnError) Error() string { return fmt.Sprintf("column %q: %s", e.Column, e.Problem) }

// ErrTooLarge says that a predicate has more parts or is deeper than the package runs.
var ErrTooLarge = errors.New("the filter is too large")

// Bounds of a predicate: parts and constants in all, and how deep it nests.
const (
	MaxParts = 200_000
	MaxDepth = 200
)

// Bind checks a predicate against a schema. It reports every fault, each a *ColumnError: unknown and ambiguous columns,
// constants that aren't of the column's type, columns that no back end compares.
func Bind(p Predicate, s *arrow.Schema) (*Filter, error) {
	if p == nil {
		return nil, errors.New("the filter is missing")
	}
	if err := measure(p); err != nil {
		return nil, err
	}
	b := &binder{schema: s, reads: map[int]bool{}}
	root := p.bind(b)
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	f := &Filter{root: root, schema: s, of: p}
	for i := range s.NumFields() {
		if b.reads[i] {
			f.reads = append(f.reads, i)
		}
	}
	return f, nil
}

// Predicate is what was bound.
func (f *Filter) Predicate() Predicate { return f.of }

// measure refuses what is too large before anything recurses into it without end.
func measure(p Predicate) error {
	parts := 0
	var visit func(p Predicate, depth int) error
	visit = func(p Predicate, depth int) error {
		parts++
		if in, ok := p.(In); ok {
			parts += len(in.Values)
		}
		if parts > MaxParts || depth > MaxDepth {
			return fmt.Errorf("%w: more than %d parts or %d levels", ErrTooLarge, MaxParts, MaxDepth)
		}
		for _, part := range children(p) {
			if part == nil {
				return errors.New("a part of the filter is missing")
			}
			if err := visit(part, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(p, 1)
}

func children(p Predicate) []Predicate {
	switch p := p.(type) {
	case And:
		return p
	case Or:
		return p
	case NotTrue:
		return []Predicate{p.Of}
	}
	return nil
}

type binder struct {
	schema *arrow.Schema
	faults []error
	reads  map[int]bool
}

// fault notes what is wrong; the node it returns never runs.
func (b *binder) fault(column, format string, args ...any) node {
	b.faults = append(b.faults, &ColumnError{Column: column, Problem: fmt.Sprintf(format, args...)})
	return constNode(false)
}

// column is a column as kernels and SQL see it.
type column struct {
	index      int
	name       string
	typ        arrow.DataType // of the values: what a dictionary holds
	dictionary bool
	kind       kind
}

type kind uint8

const (
	otherKind kind = iota // only IsNull
	boolKind
	intKind
	uintKind
	floatKind
	decimalKind
	textKind
)

func (b *binder) column(name string) (column, bool) {
	found := b.schema.FieldIndices(name)
	if len(found) != 1 {
		problem := "the dataset has no such column"
		if len(found) > 1 {
			problem = "the dataset has several of this name"
		}
		b.fault(name, "%s", problem)
		return column{}, false
	}
	b.reads[found[0]] = true
	c := column{index: found[0], name: name, typ: b.schema.Field(found[0]).Type}
	if d, ok := c.typ.(*arrow.DictionaryType); ok {
		c.typ, c.dictionary = d.ValueType, true
	}
	switch c.typ.ID() {
	case arrow.RUN_END_ENCODED, arrow.SPARSE_UNION, arrow.DENSE_UNION:
		b.fault(name, "a filter can't read a %s", c.typ)
		return column{}, false
	}
	c.kind = kindOf(c.typ)
	return c, true
}

func kindOf(t arrow.DataType) kind {
	switch t.ID() {
	case arrow.BOOL:
		return boolKind
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64:
		return intKind
	case arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		return uintKind
	case arrow.FLOAT32, arrow.FLOAT64:
		return floatKind
	case arrow.DECIMAL128:
		return decimalKind
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return textKind
	}
	return otherKind
}

// wants is the kind of constant that a column compares with.
func (c column) wants() (valueKind, string) {
	switch c.kind {
	case boolKind:
		return boolValue, "a boolean"
	case intKind, uintKind, floatKind, decimalKind:
		return numberValue, "a number"
	case textKind:
		return textValue, "a text"
	}
	return noValue, ""
}

// accepts says whether a column can be compared with a value, and notes why not.
func (b *binder) accepts(c column, v Value) bool {
	want, what := c.wants()
	switch {
	case want == noValue:
		b.fault(c.name, "a %s can't be compared in a filter, only tested for null; comparable are booleans, integers, float32, float64, decimal128 and text", c.typ)
	case v.kind != want:
		b.fault(c.name, "it is %s (%s) and never equals %s: write %s", what, c.typ, v.what(), what)
	case !v.valid():
		b.fault(c.name, "the text %q isn't valid UTF-8", v.text)
	default:
		return true
	}
	return false
}

func (p And) bind(b *binder) node { return andNode(bindAll(b, p)) }

func (p Or) bind(b *binder) node { return orNode(bindAll(b, p)) }

func bindAll(b *binder, parts []Predicate) []node {
	nodes := make([]node, len(parts))
	for i, part := range parts {
		nodes[i] = part.bind(b)
	}
	return nodes
}

func (p NotTrue) bind(b *binder) node { return notNode{p.Of.bind(b)} }

func (p Constant) bind(*binder) node { return constNode(p) }

func (p Compare) bind(b *binder) node {
	c, ok := b.column(p.Column)
	if !ok || !b.accepts(c, p.Value) {
		return constNode(false)
	}
	if !p.Op.known() {
		return b.fault(p.Column, "unknown comparison %q; known are ==, !=, <, <=, >, >=", string(p.Op))
	}
	switch c.kind {
	case boolKind:
		if p.Op != Equal && p.Op != NotEqual {
			return b.fault(p.Column, "booleans have no order: %q; allowed are == and !=", string(p.Op))
		}
		return leaf{c, boolTest{want: p.Value.truth == (p.Op == Equal)}}
	case textKind:
		return leaf{c, textTest{op: p.Op, value: p.Value.text}}
	}
	r, err := rational(p.Value.text)
	if err != nil {
		return b.fault(p.Column, "%v", err)
	}
	return numberLeaf(c, p.Op, r)
}

func (o Op) known() bool {
	switch o {
	case Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual:
		return true
	}
	return false
}

func (p In) bind(b *binder) node {
	c, ok := b.column(p.Column)
	if !ok {
		return constNode(false)
	}
	fine := true
	for _, v := range p.Values {
		if fine = b.accepts(c, v); !fine {
			break
		}
	}
	if !fine || len(p.Values) == 0 {
		return constNode(false)
	}
	if c.kind == textKind {
		return leaf{c, newTextSet(p.Values)}
	}
	if c.kind == boolKind {
		var any orNode
		for _, v := range p.Values {
			any = append(any, leaf{c, boolTest{want: v.truth}})
		}
		return any
	}
	return b.numbers(c, p.Values)
}

func (p Text) bind(b *binder) node {
	c, ok := b.column(p.Column)
	if !ok || !b.accepts(c, String(p.Value)) {
		return constNode(false)
	}
	switch p.Op {
	case Starts, Ends, Contains:
		return leaf{c, affixTest{op: p.Op, value: p.Value}}
	}
	return b.fault(p.Column, "unknown test of text %q; known are starts, ends, contains", string(p.Op))
}

func (p Column) bind(b *binder) node {
	c, ok := b.column(p.Name)
	switch {
	case !ok:
		return constNode(false)
	case c.kind != boolKind:
		return b.fault(p.Name, "it is a %s and no condition; only a boolean column is", c.typ)
	}
	return leaf{c, boolTest{want: true}}
}

func (p IsNull) bind(b *binder) node {
	c, ok := b.column(p.Column)
	if !ok {
		return constNode(false)
	}
	if !p.Not {
		return notNode{leaf{c, anyTest{}}}
	}
	return leaf{c, anyTest{}}
}
