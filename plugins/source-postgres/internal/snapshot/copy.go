package snapshot

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/sdk"
)

const (
	// MaxRow is the largest row in the bytes of its values.
	MaxRow = 16 << 20
	// A batch has at most so many rows, and is given away when it has so many bytes.
	batchRows  = 16_384
	batchBytes = 4 << 20
	maxRaw     = 64 << 10
	// mostRejects is how many rejections wait for the rows beside them.
	mostRejects = 256
)

// CodeTooLarge is the code of rejections of rows over MaxRow.
const CodeTooLarge = "row_too_large"

// Rows is what a part of a COPY stream has become. Whoever gets it releases the record, if there is one.
type Rows struct {
	Record  arrow.RecordBatch
	Rejects []sdk.Rejection
	// Entries are the rows in their order, if further columns were selected: then Record has rows that are rejected, too.
	Entries []Entry
}

// Entry is one row.
type Entry struct {
	Further [][]byte // raw values of the further columns
	Row     int      // in the record, or -1
	Reject  int      // in the rejections, or -1
}

// copier makes batches of a COPY stream.
type copier struct {
	table    *Table
	schema   *arrow.Schema
	record   *array.RecordBuilder
	builders []array.Builder
	give     func(Rows) error

	further int
	bad     []int
	rejects []sdk.Rejection
	entries []Entry
	size    int64
}

// Copy reads a query's rows in binary form: so many further columns that are given as they are, and then those of the table. The schema is
// of the table's columns alone.
func Copy(ctx context.Context, conn *pgx.Conn, t *Table, sql string, further int, schema *arrow.Schema, alloc memory.Allocator, give func(Rows) error) error {
	c := &copier{table: t, schema: schema, record: array.NewRecordBuilder(alloc, schema), give: give, further: further}
	defer c.record.Release()
	c.builders = c.record.Fields()
	stream := value.NewCopy(len(t.Columns)+further, MaxRow, c.row)
	if _, err := conn.PgConn().CopyTo(ctx, stream, "copy ("+sql+") to stdout (format binary)"); err != nil {
		return err
	}
	if err := stream.Close(); err != nil {
		return err
	}
	return c.flush()
}

func (c *copier) row(row *value.Row) error {
	own := row.Fields[c.further:]
	if c.size > 0 && c.size+row.Size > batchBytes {
		if err := c.flush(); err != nil {
			return err
		}
	}
	entry := Entry{Row: -1, Reject: -1}
	if row.Oversize {
		entry.Reject = len(c.rejects)
		c.reject(CodeTooLarge, fmt.Sprintf("the row has %d bytes, at most %d are allowed", row.Size, MaxRow), own)
	} else {
		entry.Row = c.builders[0].Len()
		c.size += row.Size
		if err := value.AppendRow(c.table.Columns, c.builders, own); err != nil {
			fault, ok := errors.AsType[*value.Fault](err)
			if !ok {
				return err
			}
			entry.Reject = len(c.rejects)
			c.bad = append(c.bad, entry.Row)
			c.reject(fault.Code, fault.Error(), own)
		}
	}
	if c.further > 0 {
		entry.Further = clone(row.Fields[:c.further])
		c.entries = append(c.entries, entry)
	}
	if c.builders[0].Len() >= batchRows || len(c.rejects) >= mostRejects {
		return c.flush()
	}
	return nil
}

func clone(fields [][]byte) [][]byte {
	out := make([][]byte, len(fields))
	for i, f := range fields {
		if f != nil {
			out[i] = append([]byte{}, f...)
		}
	}
	return out
}

func (c *copier) reject(code, reason string, fields [][]byte) {
	c.rejects = append(c.rejects, sdk.Rejection{
		Stream: c.table.Stream, Code: code, Reason: reason, Raw: Raw(c.table.Columns, fields), Row: sdk.NoRow,
	})
}

// Raw shows a row: its values as they came, text as text and other bytes in hexadecimal.
func Raw(columns []*value.Column, fields [][]byte) []byte {
	const most = 4 << 10
	row := map[string]any{}
	for i, c := range columns {
		switch f := fields[i]; {
		case f == nil:
			row[c.Name] = nil
		case utf8.Valid(f) && printable(f):
			row[c.Name] = string(f[:min(len(f), most)])
		default:
			row[c.Name] = `\x` + hex.EncodeToString(f[:min(len(f), most)])
		}
	}
	raw, err := json.Marshal(row)
	if err != nil {
		return nil
	}
	return raw[:min(len(raw), maxRaw)]
}

func printable(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

// flush gives away what has been gathered, without the rows that have faults.
func (c *copier) flush() error {
	if c.builders[0].Len() == 0 && len(c.rejects) == 0 {
		return nil
	}
	batch := c.record.NewRecordBatch()
	c.expect(batch)
	rejects, entries, bad := c.rejects, c.entries, c.bad
	c.size, c.rejects, c.entries, c.bad = 0, nil, nil, nil
	if len(bad) == 0 || c.further > 0 {
		if batch.NumRows() == 0 {
			batch.Release()
			batch = nil
		}
		return c.give(Rows{Record: batch, Rejects: rejects, Entries: entries})
	}
	defer batch.Release()
	parts := value.Without(batch, bad)
	if len(parts) == 0 {
		return c.give(Rows{Rejects: rejects})
	}
	for i, part := range parts {
		if err := c.give(Rows{Record: part, Rejects: rejects}); err != nil {
			for _, left := range parts[i+1:] {
				left.Release()
			}
			return err
		}
		rejects = nil
	}
	return nil
}

// expect makes room for as many rows and bytes as the last batch had, so that the next one does not grow by doubling.
func (c *copier) expect(last arrow.RecordBatch) {
	c.record.Reserve(int(last.NumRows()))
	for i, column := range last.Columns() {
		switch values := column.(type) {
		case *array.String:
			if b, ok := c.builders[i].(*array.StringBuilder); ok {
				b.ReserveData(len(values.ValueBytes()))
			}
		case *array.Binary:
			if b, ok := c.builders[i].(*array.BinaryBuilder); ok {
				b.ReserveData(len(values.ValueBytes()))
			}
		}
	}
}
