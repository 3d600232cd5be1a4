package jsonfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
)

// row is a record of a block.
type row struct {
	line       int64
	start, end uint32
}

// jsonBlock is some records, each the text of a JSON value.
type jsonBlock struct {
	reader  *Reader
	data    []byte
	rows    []row
	rejects []block.Reject
	end     block.Mark
}

func (b *jsonBlock) reset() { b.rows, b.rejects = b.rows[:0], nil }

// End implements block.Block.
func (b *jsonBlock) End() block.Mark { return b.end }

// Bind implements block.Block.
func (b *jsonBlock) Bind(ctx context.Context, alloc memory.Allocator, schema *arrow.Schema) (block.Rows, error) {
	if len(b.rows) == 0 {
		return block.Rows{Rejects: b.rejects}, nil
	}
	builder := array.NewRecordBuilder(alloc, schema)
	defer builder.Release()
	builder.Reserve(len(b.rows))
	root := &binder{columns: map[string]*node{}}
	nodes := make([]*node, schema.NumFields())
	for i, f := range schema.Fields() {
		_, declared := b.reader.settings.Declared[f.Name]
		nodes[i] = newNode(f, builder.Field(i), declared)
		root.columns[f.Name] = nodes[i]
	}
	bad := block.Bad{}
	unknown := false
	for i, r := range b.rows {
		p := root.record(b.data[r.start:r.end])
		unknown = unknown || (root.unknown && p.code != block.Malformed)
		if p.code != "" {
			bad.Add(i, b.rejection(r, p))
		}
		for _, n := range nodes {
			n.pad(i + 1)
		}
	}
	if unknown {
		fields := b.infer(schema)
		if len(fields) == 0 {
			return block.Rows{}, errors.New("there are new columns, but none can be inferred")
		}
		return block.Rows{Unknown: fields}, nil
	}
	if schema.NumFields() == 0 {
		return b.withoutColumns(), nil
	}
	return bad.Finish(ctx, alloc, builder.NewRecordBatch(), b.rejects)
}

// withoutColumns rejects all records: none of them has a value, and a row needs a column.
func (b *jsonBlock) withoutColumns() block.Rows {
	root := &binder{}
	rows := block.Rows{Rejects: slices.Clone(b.rejects)}
	for _, r := range b.rows {
		p := root.record(b.data[r.start:r.end])
		if p.code == "" {
			p = problem{block.Malformed, "the object has no values, and the stream no columns yet"}
		}
		rows.Rejects = append(rows.Rejects, b.rejection(r, p))
	}
	return rows
}

func (b *jsonBlock) rejection(r row, p problem) block.Reject {
	raw := bytes.TrimSpace(b.data[r.start:r.end])
	return block.Reject{Line: r.line, Code: p.code, Reason: p.reason, Raw: block.Raw(raw)}
}

// problem is why a record is rejected; its code is empty if it is not.
type problem struct {
	code, reason string
}

// binder puts records into builders.
type binder struct {
	decoder
	columns map[string]*node
	unknown bool // the record has a column that the schema lacks
	problem problem
}

// record appends at most one value to each column.
func (b *binder) record(text []byte) problem {
	b.begin(text)
	b.problem, b.unknown = problem{}, false
	kind := b.PeekKind()
	if kind != '{' {
		if err := b.SkipValue(); err != nil {
			return problem{block.Malformed, "not JSON: " + clean(err)}
		}
		return problem{block.Malformed, fmt.Sprintf("a record must be an object, not %s", kindName(byte(kind)))}
	}
	if err := b.object(b.member); err != nil {
		return problem{block.Malformed, "not JSON: " + clean(err)}
	}
	if !b.atEnd() {
		return problem{block.Malformed, "not JSON: something follows the object"}
	}
	return b.problem
}

func (b *binder) member(name []byte) error {
	if len(name) == 0 {
		return errEmptyName
	}
	n, known := b.columns[string(name)]
	if !known {
		return b.missing()
	}
	return b.value(n)
}

// missing skips a value that has no column. A null is no reason for one.
func (b *binder) missing() error {
	b.unknown = b.unknown || b.PeekKind() != 'n'
	return b.SkipValue()
}

func (b *binder) value(n *node) error {
	kind := b.PeekKind()
	switch {
	case kind == 'n':
		n.builder.AppendNull()
		return b.SkipValue()
	case kind == '{' && n.children != nil:
		return b.structValue(n)
	case kind == '[' && n.item != nil:
		return b.listValue(n)
	}
	raw, err := b.ReadValue()
	if err != nil {
		return err
	}
	if err := n.scalar(byte(kind), raw, &b.decoder); err != nil {
		n.builder.AppendNull()
		b.wrong("column %q: %s is no %s: %v", n.field.Name, shown(raw), n.typeName(), err)
	}
	return nil
}

func (b *binder) wrong(format string, args ...any) {
	if b.problem.code == "" {
		b.problem = problem{block.WrongType, fmt.Sprintf(format, args...)}
	}
}

func (b *binder) structValue(n *node) error {
	s := n.builder.(*array.StructBuilder)
	s.Append(true)
	defer n.padChildren(s.Len())
	return b.object(func(name []byte) error {
		child, known := n.children[string(name)]
		switch {
		case len(name) == 0:
			return errEmptyName
		case known:
			return b.value(child)
		case n.declared && b.PeekKind() != 'n':
			b.wrong("column %q: the declared type has no field %q", n.field.Name, name)
			return b.SkipValue()
		}
		return b.missing()
	})
}

func (b *binder) listValue(n *node) error {
	n.builder.(*array.ListBuilder).Append(true)
	return b.list(func() error { return b.value(n.item) })
}
