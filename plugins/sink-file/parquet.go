package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// A row group ends at the first of these.
const (
	groupRows  = 256 << 10
	groupBytes = 64 << 20
)

// columnar writes Parquet; the Arrow schema is stored along, so that Arrow readers get the very types back.
type columnar struct {
	writer *pqarrow.FileWriter
	out    *untold
}

// untold counts what the Parquet writer has written, and hides that the file below can be closed.
type untold struct {
	io.Writer
	bytes int64
}

func (u *untold) Write(b []byte) (int, error) {
	n, err := u.Writer.Write(b)
	u.bytes += int64(n)
	return n, err
}

func newParquet(compression string, schema *arrow.Schema, out io.Writer, alloc memory.Allocator) (encoder, error) {
	codec := map[string]compress.Compression{
		"none": compress.Codecs.Uncompressed, "gzip": compress.Codecs.Gzip, "zstd": compress.Codecs.Zstd,
	}[compression]
	u := &untold{Writer: out}
	writer, err := pqarrow.NewFileWriter(schema, u, parquet.NewWriterProperties(
		parquet.WithAllocator(alloc), parquet.WithCompression(codec), parquet.WithMaxRowGroupLength(groupRows),
	), arrowProperties(alloc))
	if err != nil {
		return nil, err
	}
	return &columnar{writer: writer, out: u}, nil
}

func arrowProperties(alloc memory.Allocator) pqarrow.ArrowWriterProperties {
	return pqarrow.NewArrowWriterProperties(pqarrow.WithAllocator(alloc), pqarrow.WithStoreSchema())
}

// checkParquet says which column's type Parquet's writer has no place for.
func checkParquet(schema *arrow.Schema) error {
	for _, f := range schema.Fields() {
		if nullableFixedList(f, false) {
			return fmt.Errorf("column %q of type %s can't be written as Parquet, whose writer takes no nulls of lists of a fixed size: make it a list", f.Name, f.Type)
		}
		probe, err := newParquet("none", arrow.NewSchema([]arrow.Field{f}, nil), io.Discard, memory.DefaultAllocator)
		if err == nil {
			err = probe.Close()
		}
		if err != nil {
			return fmt.Errorf("column %q of type %s can't be written as Parquet: %w", f.Name, f.Type, err)
		}
	}
	return nil
}

// nullableFixedList says whether a field is or contains a list of a fixed size that may be null, or in something that may be.
func nullableFixedList(f arrow.Field, within bool) bool {
	nullable := within || f.Nullable
	if f.Type.ID() == arrow.FIXED_SIZE_LIST && nullable {
		return true
	}
	nested, ok := f.Type.(arrow.NestedType)
	return ok && slices.ContainsFunc(nested.Fields(), func(child arrow.Field) bool { return nullableFixedList(child, nullable) })
}

// Write implements encoder.
func (c *columnar) Write(batch arrow.RecordBatch) error {
	if c.writer.RowGroupTotalCompressedBytes() >= groupBytes {
		if err := c.writer.NewBufferedRowGroupChecked(); err != nil {
			return err
		}
	}
	return c.writer.WriteBuffered(batch)
}

// Pending implements encoder.
func (c *columnar) Pending() int64 { return c.writer.TotalCompressedBytes() - c.out.bytes }

// Close implements encoder.
func (c *columnar) Close() error { return c.writer.Close() }
