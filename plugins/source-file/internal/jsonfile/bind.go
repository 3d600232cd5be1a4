package jsonfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/plugins/source-file/internal/text"
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
	// rewritten are the texts of records, by index, that are not read as they are in the file.
	rewritten map[int][]byte
}

// text is what is read of a record.
func (b *jsonBlock) text(i int) []byte {
	if text, ok := b.rewritten[i]; ok {
		return text
	}
	return b.data[b.rows[i].start:b.rows[i].end]
}

func (b *jsonBlock) reset() { b.rows, b.rejects, b.rewritten = b.rows[:0], nil, nil }

// End implements block.Block.
func (b *jsonBlock) End() block.Mark { return b.end }

// Bind implements block.Block.
func (b *jsonBlock) Bind(ctx context.Context, alloc memory.Allocator, schema *arrow.Schema) (block.Rows, error) {
	b.reader.width = schema.NumFields()
	if len(b.rows) == 0 {
		return block.Rows{Rejects: b.rejects}, nil
	}
	rows, root, err := b.bind(ctx, alloc, schema, false)
	if root.repeats && b.lastOnly() {
		rows.release()
		rows, root, err = b.bind(ctx, alloc, schema, false)
	}
	if err != nil || !root.anyUnknown {
		return rows.Rows, err
	}
	rows.release()
	fields := b.infer(schema)
	merged, grew := column.Rules{Declared: b.reader.settings.Declared}.Union(schema.Fields(), fields)
	if grew && column.Count(merged) <= column.MaxColumns {
		return block.Rows{Unknown: fields}, nil
	}
	rows, _, err = b.bind(ctx, alloc, schema, true)
	return rows.Rows, err
}

type bound struct{ block.Rows }

func (r bound) release() {
	if r.Record != nil {
		r.Record.Release()
	}
}

// bind makes rows of the schema. If it is full, records with other columns are rejected.
func (b *jsonBlock) bind(ctx context.Context, alloc memory.Allocator, schema *arrow.Schema, full bool) (bound, *binder, error) {
	builder := array.NewRecordBuilder(alloc, schema)
	defer builder.Release()
	builder.Reserve(len(b.rows))
	root := &binder{columns: map[string]*node{}, layers: b.reader.settings.Layers, full: full}
	nodes := make([]*node, schema.NumFields())
	for i, f := range schema.Fields() {
		_, declared := b.reader.settings.Declared[f.Name]
		nodes[i] = newNode(f, builder.Field(i), declared)
		root.columns[f.Name] = nodes[i]
	}
	bad := block.Bad{}
	for i, r := range b.rows {
		if p := root.record(b.text(i), i); p.code != "" {
			bad.Add(i, b.rejection(r, p))
		}
		for _, n := range nodes {
			n.pad(i + 1)
		}
	}
	if schema.NumFields() == 0 {
		return bound{b.withoutColumns(bad)}, root, nil
	}
	rows, err := bad.Finish(ctx, alloc, builder.NewRecordBatch(), b.rejects)
	return bound{rows}, root, err
}

// withoutColumns rejects all records: none of them has a value, and a row needs a column.
func (b *jsonBlock) withoutColumns(bad block.Bad) block.Rows {
	rows := block.Rows{Rejects: slices.Clone(b.rejects)}
	for i, r := range b.rows {
		bad.Add(i, b.rejection(r, problem{block.Malformed, "the object has no values, and the stream no columns yet"}))
		rows.Rejects = append(rows.Rejects, bad[i])
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
	layers  text.Layers
	columns map[string]*node
	full    bool // there can be no more columns
	row     int
	problem problem
	unknown bool // the record has a column that the schema lacks

	anyUnknown bool // a record that is JSON has one
	repeats    bool // there is a record in which a name occurs twice
}

// record appends at most one value to each column, as the row with the index.
func (b *binder) record(record []byte, index int) problem {
	b.begin(record)
	b.problem, b.unknown, b.row = problem{}, false, index
	kind := b.PeekKind()
	if kind != '{' {
		if err := b.SkipValue(); err != nil {
			return b.notJSON(record, err)
		}
		return problem{block.Malformed, fmt.Sprintf("a record must be an object, not %s", kindName(byte(kind)))}
	}
	if err := b.object(b.member); err != nil {
		return b.notJSON(record, err)
	}
	if !b.atEnd() {
		return problem{block.Malformed, "not JSON: something follows the object"}
	}
	b.anyUnknown = b.anyUnknown || b.unknown
	return b.problem
}

func (b *binder) notJSON(record []byte, err error) problem {
	b.repeats = b.repeats || repeats(err)
	switch {
	case errors.Is(err, errLongName):
		return problem{block.TooWide, err.Error()}
	case !utf8.Valid(record):
		return problem{block.Encoding, b.layers.Reason()}
	}
	return problem{block.Malformed, "not JSON: " + clean(err)}
}

func (b *binder) member(name []byte) error {
	n, known := b.columns[string(name)]
	if !known {
		return b.missing()
	}
	if n.builder.Len() > b.row {
		return b.collision(name)
	}
	return b.value(n)
}

// collision skips the value of an empty name beside one that is written as its column.
func (b *binder) collision(name []byte) error {
	b.wrong(block.Malformed, "two names in the object mean the column %q", name)
	return b.SkipValue()
}

// missing skips a value that has no column. A null is no reason for one.
func (b *binder) missing() error {
	if b.PeekKind() != 'n' {
		b.unknown = true
		if b.full {
			b.wrong(block.TooWide, "it has names that the stream has no columns for, and it can't have more than %d", column.MaxColumns)
		}
	}
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
		b.wrong(block.WrongType, "column %q: %s is no %s: %v", n.field.Name, shown(raw), n.typeName(), err)
	}
	return nil
}

func (b *binder) wrong(code, format string, args ...any) {
	if b.problem.code == "" {
		b.problem = problem{code, fmt.Sprintf(format, args...)}
	}
}

func (b *binder) structValue(n *node) error {
	s := n.builder.(*array.StructBuilder)
	s.Append(true)
	defer n.padChildren(s.Len())
	return b.object(func(name []byte) error {
		child, known := n.children[string(name)]
		switch {
		case known && child.builder.Len() >= s.Len():
			return b.collision(name)
		case known:
			return b.value(child)
		case n.declared && b.PeekKind() != 'n':
			b.wrong(block.WrongType, "column %q: the declared type has no field %q", n.field.Name, name)
			return b.SkipValue()
		}
		return b.missing()
	})
}

func (b *binder) listValue(n *node) error {
	n.builder.(*array.ListBuilder).Append(true)
	return b.list(func() error { return b.value(n.item) })
}
