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

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/value"
	"github.com/qanat-data/qanat/sdk"
)

const (
	// MaxRow is the largest row in the bytes of its values.
	MaxRow = 16 << 20
	// A batch has at most so many rows, and is given away when it has so many bytes.
	batchRows  = 16_384
	batchBytes = 4 << 20
	maxRaw     = 64 << 10
)

// CodeTooLarge is the code of rejections of rows over MaxRow.
const CodeTooLarge = "row_too_large"

// Rows is what a part of a COPY stream has become. Whoever gets it releases the record, if there is one.
type Rows struct {
	Record  arrow.RecordBatch
	Rejects []sdk.Rejection
	// Extra are, for each row of Record, the raw values of the columns that were selected behind the table's.
	Extra [][][]byte
}

// copier makes batches of a COPY stream.
type copier struct {
	table    *Table
	schema   *arrow.Schema
	record   *array.RecordBuilder
	builders []array.Builder
	give     func(Rows) error

	bad     []int
	rejects []sdk.Rejection
	extra   [][][]byte
	size    int64
}

// Copy reads a query's rows in binary form: those of the table's columns, and then further ones that are given as they are. The schema is of
// the columns alone.
func Copy(ctx context.Context, conn *pgx.Conn, t *Table, sql string, further int, schema *arrow.Schema, alloc memory.Allocator, give func(Rows) error) error {
	c := &copier{table: t, schema: schema, record: array.NewRecordBuilder(alloc, schema), give: give}
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
	own := row.Fields[:len(c.builders)]
	if row.Oversize {
		c.reject(CodeTooLarge, fmt.Sprintf("the row has %d bytes, at most %d are allowed", row.Size, MaxRow), own)
		return nil
	}
	if c.size > 0 && c.size+row.Size > batchBytes {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if further := row.Fields[len(own):]; len(further) > 0 {
		c.extra = append(c.extra, clone(further))
	}
	if err := value.AppendRow(c.table.Columns, c.builders, own); err != nil {
		fault, ok := errors.AsType[*value.Fault](err)
		if !ok {
			return err
		}
		c.bad = append(c.bad, c.builders[0].Len()-1)
		c.reject(fault.Code, fault.Error(), own)
	}
	c.size += row.Size
	if c.builders[0].Len() >= batchRows {
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
	rejects, extra, bad := c.rejects, c.extra, c.bad
	c.size, c.rejects, c.extra, c.bad = 0, nil, nil, nil
	if len(bad) == 0 {
		return c.hand(batch, rejects, extra)
	}
	defer batch.Release()
	parts := value.Without(batch, bad)
	extras := without(extra, bad, int(batch.NumRows()))
	if len(parts) == 0 {
		return c.give(Rows{Rejects: rejects})
	}
	for i, part := range parts {
		var own [][][]byte
		if extra != nil {
			own = extras[i]
		}
		if err := c.hand(part, rejects, own); err != nil {
			for _, left := range parts[i+1:] {
				left.Release()
			}
			return err
		}
		rejects = nil
	}
	return nil
}

func (c *copier) hand(batch arrow.RecordBatch, rejects []sdk.Rejection, extra [][][]byte) error {
	if batch.NumRows() == 0 {
		batch.Release()
		batch = nil
	}
	return c.give(Rows{Record: batch, Rejects: rejects, Extra: extra})
}

// without cuts a list as value.Without cuts a batch.
func without(list [][][]byte, bad []int, n int) [][][][]byte {
	if list == nil {
		return nil
	}
	var parts [][][][]byte
	from := 0
	for _, row := range append(bad[:len(bad):len(bad)], n) {
		if row > from {
			parts = append(parts, list[from:row])
		}
		from = row + 1
	}
	return parts
}
