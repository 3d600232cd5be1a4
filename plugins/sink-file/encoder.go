package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// encoder turns batches of one schema into the bytes of one file. Batches stay the caller's.
type encoder interface {
	Write(batch arrow.RecordBatch) error
	// Pending is about how many bytes have been taken and not written.
	Pending() int64
	// Close writes what is left; the writer below stays open.
	Close() error
}

func newEncoder(c Config, schema *arrow.Schema, out io.Writer, alloc memory.Allocator) (encoder, error) {
	if c.Format == "parquet" {
		return newParquet(c.compression(), schema, out, alloc)
	}
	compressed, err := compressor(c.compression(), out)
	if err != nil {
		return nil, err
	}
	if c.Format == "csv" {
		return newCSV(c.CSV, schema, compressed)
	}
	return &lines{out: compressed, row: jsonRow}, nil
}

// compressor wraps the writer. Closing it leaves the writer open.
func compressor(name string, out io.Writer) (io.WriteCloser, error) {
	switch name {
	case "gzip":
		return gzip.NewWriter(out), nil
	case "zstd":
		return zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	}
	return plain{out}, nil
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }

// checkSchema says what the format can't hold.
func (c Config) checkSchema(schema *arrow.Schema) error {
	if schema.NumFields() == 0 {
		return errors.New("no columns, expected at least one")
	}
	switch c.Format {
	case "parquet":
		return checkParquet(schema)
	case "csv":
		for _, f := range schema.Fields() {
			switch f.Type.ID() {
			case arrow.DENSE_UNION, arrow.SPARSE_UNION, arrow.RUN_END_ENCODED:
				return fmt.Errorf("column %q of type %s can't be written as CSV: cast it first", f.Name, f.Type)
			}
		}
		if schema.NumFields() == 1 && c.CSV.Null == "" && schema.Field(0).Nullable {
			return fmt.Errorf("the only column %q may be null, which CSV would show as an empty line that readers skip: set csv.null", schema.Field(0).Name)
		}
	}
	return nil
}

// lines writes a text format: one line per row.
type lines struct {
	out    io.WriteCloser
	buffer []byte
	// row prepares a batch and gives the function that appends one of its rows.
	row func(batch arrow.RecordBatch) (appender, error)
}

// chunk is how many bytes of text are collected before they go on.
const chunk = 64 << 10

// Write implements encoder.
func (l *lines) Write(batch arrow.RecordBatch) error {
	appendRow, err := l.row(batch)
	if err != nil {
		return err
	}
	for row := range int(batch.NumRows()) {
		if l.buffer = append(appendRow(l.buffer, row), '\n'); len(l.buffer) < chunk {
			continue
		}
		if err := l.flush(); err != nil {
			return err
		}
	}
	return l.flush()
}

func (l *lines) flush() error {
	_, err := l.out.Write(l.buffer)
	l.buffer = l.buffer[:0]
	return err
}

// Pending implements encoder.
func (*lines) Pending() int64 { return 0 }

// Close implements encoder.
func (l *lines) Close() error { return l.out.Close() }
