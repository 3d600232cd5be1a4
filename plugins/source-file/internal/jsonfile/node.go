package jsonfile

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
)

// node is a column, or a part of a nested one, with its builder.
type node struct {
	field    arrow.Field
	builder  array.Builder
	add      column.Appender
	json     bool
	declared bool
	children map[string]*node // of a struct
	item     *node            // of a list
}

func newNode(f arrow.Field, builder array.Builder, declared bool) *node {
	n := &node{field: f, builder: builder, declared: declared, json: column.IsJSON(f)}
	switch b := builder.(type) {
	case *array.StructBuilder:
		n.children = map[string]*node{}
		for i, child := range f.Type.(*arrow.StructType).Fields() {
			n.children[child.Name] = newNode(inside(f, child), b.FieldBuilder(i), declared)
		}
	case *array.ListBuilder:
		item := f.Type.(*arrow.ListType).ElemField()
		item.Name = f.Name + "[]"
		n.item = newNode(item, b.ValueBuilder(), declared)
	default:
		n.add = column.NewAppender(builder, !declared)
	}
	return n
}

// inside names a field by its path, for messages.
func inside(f, child arrow.Field) arrow.Field {
	child.Name = f.Name + "." + child.Name
	return child
}

// pad gives the builder a null where a record had no value.
func (n *node) pad(length int) {
	if n.builder.Len() < length {
		n.builder.AppendNull()
	}
}

func (n *node) padChildren(length int) {
	for _, child := range n.children {
		child.pad(length)
	}
}

var (
	errContainer = errors.New("expected a single value")
	errNested    = errors.New("the column is nested")
	errText      = errors.New("expected a string")
)

// scalar appends a value that fits the column as it is written, or after reading it as text.
func (n *node) scalar(kind byte, raw []byte, d *decoder) error {
	switch {
	case n.json:
		return n.add(raw)
	case n.add == nil:
		return errNested
	case kind == '"':
		return n.add(d.unquote(raw))
	case kind == '{' || kind == '[':
		return errContainer
	case n.field.Type.ID() == arrow.BINARY:
		return errText
	case kind == '0':
		return n.number(raw)
	}
	return n.add(raw)
}

// number takes 1.0 and 1e3 for integers, which they are in JSON.
func (n *node) number(raw []byte) error {
	err := n.add(raw)
	if id := n.field.Type.ID(); err == nil || (id != arrow.INT64 && id != arrow.INT32) {
		return err
	}
	v, parseErr := strconv.ParseFloat(string(raw), 64)
	if parseErr != nil || v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		return err
	}
	return n.add(strconv.AppendInt(nil, int64(v), 10))
}

func (n *node) typeName() string {
	f := n.field
	return column.Text(f)
}

// shown is a value in a message.
func shown(raw []byte) string {
	const most = 80
	if len(raw) > most {
		return string(raw[:most]) + "…"
	}
	return string(raw)
}

// clean is the decoder's message without its package's name.
func clean(err error) string { return strings.TrimPrefix(err.Error(), "jsontext: ") }

func kindName(kind byte) string {
	switch kind {
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 'n':
		return "null"
	case 't', 'f':
		return "a truth value"
	}
	return fmt.Sprintf("%q", kind)
}
