package encode

import (
	"encoding/binary"
	"errors"
	"io"
)

// Rows is a stream for COPY … FROM STDIN (FORMAT binary): rows of a batch, encoded while they are read.
type Rows struct {
	fields []Cells
	next   int
	end    int
	skip   map[int]bool

	state  state
	buffer []byte
	at     int
	sent   []int32
	faults []RowFault
}

type state uint8

const (
	atHeader state = iota
	inRows
	atEnd
)

// RowFault is a row that can't be encoded, and why.
type RowFault struct {
	Row   int
	Fault *Fault
}

const (
	signature = "PGCOPY\n\xff\r\n\x00"
	header    = signature + "\x00\x00\x00\x00\x00\x00\x00\x00"
	piece     = 64 << 10
	kept      = 1 << 20 // how large a buffer may stay
)

// NewRows streams the rows from ≤ row < end but those to skip, each with the given fields.
func NewRows(fields []Cells, from, end int, skip map[int]bool) *Rows {
	return &Rows{fields: fields, next: from, end: end, skip: skip, buffer: make([]byte, 0, piece+4<<10)}
}

// Read implements io.Reader.
func (r *Rows) Read(p []byte) (int, error) {
	if r.at == len(r.buffer) {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buffer[r.at:])
	r.at += n
	return n, nil
}

// fill encodes the next rows.
func (r *Rows) fill() error {
	if cap(r.buffer) > kept {
		r.buffer = nil
	}
	r.buffer, r.at = r.buffer[:0], 0
	switch r.state {
	case atEnd:
		return io.EOF
	case atHeader:
		r.buffer, r.state = append(r.buffer, header...), inRows
	case inRows:
	}
	for r.next < r.end && len(r.buffer) < piece {
		row := r.next
		r.next++
		if r.skip[row] {
			continue
		}
		if err := r.row(row); err != nil {
			return err
		}
	}
	if r.next == r.end {
		r.buffer, r.state = append(r.buffer, 0xff, 0xff), atEnd
	}
	return nil
}

// row encodes a row as a whole or not at all.
func (r *Rows) row(row int) error {
	start := len(r.buffer)
	to := binary.BigEndian.AppendUint16(r.buffer, uint16(len(r.fields))) //nolint:gosec // a table has at most 1,600
	for _, cells := range r.fields {
		var err error
		if to, err = appendField(to, cells, row); err == nil {
			continue
		}
		r.buffer = to[:start]
		fault, ok := errors.AsType[*Fault](err)
		if f, is := errors.AsType[*flaw](err); is && !ok {
			fault, ok = &Fault{Code: f.code, Reason: f.reason}, true
		}
		if !ok {
			return err
		}
		r.faults = append(r.faults, RowFault{Row: row, Fault: fault})
		return nil
	}
	r.buffer = to
	r.sent = append(r.sent, int32(row)) //nolint:gosec // batches have fewer rows
	return nil
}

// Faults are the rows that could not be encoded.
func (r *Rows) Faults() []RowFault { return r.faults }

// Sent is the number of rows in the stream so far.
func (r *Rows) Sent() int { return len(r.sent) }

// Line is the row at a line of the stream as the server counts them, from 1; false if there is none.
func (r *Rows) Line(line int) (row int, ok bool) {
	if line < 1 || line > len(r.sent) {
		return 0, false
	}
	return int(r.sent[line-1]), true
}

// Integer is a field that holds an integer for int8 columns; ok false is a null.
func Integer(value func(row int) (v int64, ok bool)) Cells {
	return Cells{
		Null: func(row int) bool {
			_, ok := value(row)
			return !ok
		},
		Put: func(to []byte, row int) ([]byte, error) {
			v, _ := value(row)
			return binary.BigEndian.AppendUint64(to, uint64(v)), nil //nolint:gosec // the bits
		},
	}
}
