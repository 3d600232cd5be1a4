package csvfile

import (
	"bytes"
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
)

// row is a record of a block.
type row struct {
	line       int64
	start, end uint32
}

// csvBlock is some records, cut into fields. Every row has as many fields as the file has columns.
type csvBlock struct {
	reader  *Reader
	data    []byte
	rows    []row
	fields  []span
	rejects []block.Reject
	end     block.Mark
}

func (b *csvBlock) reset() {
	b.rows, b.fields, b.rejects = b.rows[:0], b.fields[:0], nil
}

// End implements block.Block.
func (b *csvBlock) End() block.Mark { return b.end }

func (b *csvBlock) reject(r row, code, format string, args ...any) {
	b.rejects = append(b.rejects, b.rejection(r, code, format, args...))
}

func (b *csvBlock) rejection(r row, code, format string, args ...any) block.Reject {
	raw := bytes.TrimRight(b.data[r.start:r.end], "\r\n")
	return block.Reject{Line: r.line, Code: code, Reason: fmt.Sprintf(format, args...), Raw: block.Raw(raw)}
}

// Bind implements block.Block. It builds column by column.
func (b *csvBlock) Bind(ctx context.Context, alloc memory.Allocator, schema *arrow.Schema) (block.Rows, error) {
	if len(b.rows) == 0 {
		return block.Rows{Rejects: b.rejects}, nil
	}
	if b.reader.missing(schema) >= 0 {
		return block.Rows{Unknown: b.infer()}, nil
	}
	bad := block.Bad{}
	b.checkText(bad)
	columns := make([]arrow.Array, schema.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, f := range schema.Fields() {
		columns[i] = b.column(alloc, f, bad)
	}
	record := array.NewRecordBatch(schema, columns, int64(len(b.rows)))
	return bad.Finish(ctx, alloc, record, b.rejects)
}

// checkText finds the rows that are not in the encoding, or hold zero bytes: no text has any, damaged files do.
func (b *csvBlock) checkText(bad block.Bad) {
	first, last := b.rows[0], b.rows[len(b.rows)-1]
	if all := b.data[first.start:last.end]; utf8.Valid(all) && bytes.IndexByte(all, 0) < 0 {
		return
	}
	for i, r := range b.rows {
		switch record := b.data[r.start:r.end]; {
		case !utf8.Valid(record):
			bad.Add(i, b.rejection(r, block.Encoding, "%s", b.reader.settings.Layers.Reason()))
		case bytes.IndexByte(record, 0) >= 0:
			bad.Add(i, b.rejection(r, block.Encoding, "the record holds a zero byte"))
		}
	}
}

func (b *csvBlock) column(alloc memory.Allocator, f arrow.Field, bad block.Bad) arrow.Array {
	builder := array.NewBuilder(alloc, f.Type)
	defer builder.Release()
	builder.Reserve(len(b.rows))
	at, there := b.reader.index[f.Name]
	if !there {
		builder.AppendNulls(len(b.rows))
		return builder.NewArray()
	}
	_, declared := b.reader.settings.Declared[f.Name]
	c := cells{
		block: b, at: at, bad: bad, field: f, builder: builder,
		add: column.NewAppender(builder, !declared), text: f.Type.ID() == arrow.STRING,
	}
	for i := range b.rows {
		c.append(i)
	}
	return builder.NewArray()
}

// cells appends the values of one column.
type cells struct {
	block   *csvBlock
	at      int
	bad     block.Bad
	field   arrow.Field
	builder array.Builder
	add     column.Appender
	text    bool
	scratch []byte
}

func (c *cells) append(i int) {
	r := c.block.reader
	f := c.block.fields[i*r.width+c.at]
	var value []byte
	value, c.scratch = r.scan.content(c.block.data, f, c.scratch)
	if r.isNull(f, value) || (!c.text && isBlank(value)) {
		c.builder.AppendNull()
		return
	}
	if err := c.add(value); err != nil {
		c.builder.AppendNull()
		c.bad.Add(i, c.block.rejection(c.block.rows[i], block.WrongType, "column %q: %s is no %s: %v",
			c.field.Name, shown(value), column.Text(c.field), err))
	}
}

func isBlank(value []byte) bool {
	return len(value) == 0 || (value[0] <= ' ' && len(bytes.TrimSpace(value)) == 0)
}

// shown is a value in a message.
func shown(value []byte) string {
	const most = 80
	if len(value) > most {
		return fmt.Sprintf("%q…", value[:most])
	}
	return fmt.Sprintf("%q", value)
}
