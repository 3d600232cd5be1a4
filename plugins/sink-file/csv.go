package main

import (
	"bytes"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
)

// dialect is how values are told apart (RFC 4180, lines end with LF).
type dialect struct {
	delimiter byte
	null      string
}

func newCSV(c CSV, schema *arrow.Schema, out io.WriteCloser) (encoder, error) {
	d := dialect{delimiter: c.delimiter()[0], null: c.Null}
	l := &lines{out: out, row: d.row}
	if !c.header() {
		return l, nil
	}
	for i, f := range schema.Fields() {
		if i > 0 {
			l.buffer = append(l.buffer, d.delimiter)
		}
		l.buffer = d.value(l.buffer, func(dst []byte, _ int) []byte { return append(dst, f.Name...) }, 0)
	}
	l.buffer = append(l.buffer, '\n')
	return l, l.flush()
}

func (d dialect) row(batch arrow.RecordBatch) (appender, error) {
	values, err := appenders(batch)
	if err != nil {
		return nil, err
	}
	return func(dst []byte, row int) []byte {
		for i, v := range values {
			if i > 0 {
				dst = append(dst, d.delimiter)
			}
			if v.column.IsNull(row) {
				dst = append(dst, d.null...)
				continue
			}
			dst = d.value(dst, v.text, row)
		}
		return dst
	}, nil
}

// value appends a value, in quotes if it would be taken for something else: for more than one value or line, or for a null.
func (d dialect) value(dst []byte, text appender, row int) []byte {
	begin := len(dst)
	dst = text(dst, row)
	value := dst[begin:]
	if !d.needsQuotes(value) {
		return dst
	}
	value = bytes.ReplaceAll(value, []byte{'"'}, []byte{'"', '"'}) // a copy, because dst is overwritten
	dst = append(dst[:begin], '"')
	dst = append(dst, value...)
	return append(dst, '"')
}

func (d dialect) needsQuotes(value []byte) bool {
	if string(value) == d.null {
		return true
	}
	for _, b := range value {
		if b == d.delimiter || b == '"' || b == '\n' || b == '\r' {
			return true
		}
	}
	return false
}
