package main

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
)

// rejectEvery takes each n-th row of the stream out of the record, which begins at row from, and returns the rest and the
// rejections. The ownership of the record passes, that of the rest comes back; nil if nothing is left.
func (s *shape) rejectEvery(every, from int64, record arrow.RecordBatch) (arrow.RecordBatch, []sdk.Rejection, error) {
	defer record.Release()
	var rejections []sdk.Rejection
	var kept []arrow.RecordBatch
	defer func() {
		for _, part := range kept {
			part.Release()
		}
	}()
	begin := int64(0)
	for row := every - 1 - from%every; row < record.NumRows(); row += every {
		if row > begin {
			kept = append(kept, record.NewSlice(begin, row))
		}
		rejection, err := s.rejection(record, from, row)
		if err != nil {
			return nil, nil, err
		}
		rejections, begin = append(rejections, rejection), row+1
	}
	if begin < record.NumRows() {
		kept = append(kept, record.NewSlice(begin, record.NumRows()))
	}
	rest, err := s.join(record.Schema(), kept)
	return rest, rejections, err
}

func (s *shape) rejection(record arrow.RecordBatch, from, row int64) (sdk.Rejection, error) {
	one := record.NewSlice(row, row+1)
	defer one.Release()
	var raw bytes.Buffer
	err := array.RecordToJSON(one, &raw)
	return sdk.Rejection{
		Stream: s.stream, Code: "fault_injected", Row: sdk.NoRow, Raw: bytes.TrimSpace(raw.Bytes()), Origin: fmt.Sprintf("row:%d", from+row),
		Reason: fmt.Sprintf("row %d of %q is rejected because fault.reject_every asks for it", from+row, s.stream),
	}, err
}

// join copies the parts into one record; nil if there are none.
func (s *shape) join(schema *arrow.Schema, parts []arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	columns := make([]arrow.Array, 0, schema.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	rows := int64(0)
	for _, part := range parts {
		rows += part.NumRows()
	}
	for i := range schema.NumFields() {
		pieces := make([]arrow.Array, len(parts))
		for j, part := range parts {
			pieces[j] = part.Column(i)
		}
		column, err := array.Concatenate(pieces, s.alloc)
		if err != nil {
			return nil, err
		}
		columns = append(columns, column)
	}
	return array.NewRecordBatch(schema, columns, rows), nil
}
