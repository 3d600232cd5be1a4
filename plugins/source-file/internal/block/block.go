// Package block is what the readers of all formats have in common: a file is read as blocks of records, a block is bound to the
// schema that its stream has at that moment, and a mark says where a block ends. Readers are in csvfile, jsonfile and arrowfile.
package block

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Mark is a place between two records of a file. It is part of a source's position, hence the short names.
type Mark struct {
	Offset int64  `json:"o,omitempty"` // bytes before it, after decompression and transcoding; Arrow: rows before it in its record batch
	Line   int64  `json:"l,omitempty"` // lines before it; text formats only
	Row    int64  `json:"r,omitempty"` // rows before it; JSON, Parquet and Arrow only
	Part   int    `json:"p,omitempty"` // Arrow: record batches before it; JSON: the part of the file (jsonfile's phase)
	Guard  string `json:"g,omitempty"` // a digest of the bytes before it, which shows whether a file that grew is still the same
}

// Reject is a record that can't become a row.
type Reject struct {
	Line   int64 // from 1; the row's number where a format has no lines
	Code   string
	Reason string
	Raw    []byte
}

// The codes of rejections.
const (
	Malformed = "malformed"     // not in the file's format
	WrongType = "wrong_type"    // a value that its column can't hold
	Ragged    = "ragged_row"    // more or fewer fields than the header
	TooLarge  = "row_too_large" // over MaxRecord
	Encoding  = "encoding"      // not in the file's character encoding
	TooWide   = "too_wide"      // more columns, or longer names of them, than a stream can have
)

// MaxRecord is the largest record in bytes.
const MaxRecord = 16 << 20

// MaxRaw is how much of a rejected record is kept.
const MaxRaw = 64 << 10

// Raw copies the beginning of a record, as it is kept with a rejection.
func Raw(record []byte) []byte {
	return append([]byte(nil), record[:min(len(record), MaxRaw)]...)
}

// Rows is a block bound to a schema. Whoever gets it releases the record.
type Rows struct {
	Record  arrow.RecordBatch // nil if there is no row
	Rejects []Reject
	Unknown []arrow.Field // columns that the schema lacks; if there are any, the block must be bound again to a schema that has them
}

// Block is some consecutive records of a file. It is valid until its reader's next call.
type Block interface {
	// Bind makes rows of the schema: columns by name, null where the file has none. It may be called several times.
	Bind(ctx context.Context, alloc memory.Allocator, schema *arrow.Schema) (Rows, error)
	// End is where the block ends.
	End() Mark
}

// Reader reads one file from a mark on. It is for one goroutine.
type Reader interface {
	// Fields are the file's columns with types by the file's schema or a sample of its values; null where that has none.
	Fields() []arrow.Field
	// Next returns io.EOF after the last block. A *Fault says that the rest of the file can't be read.
	Next(ctx context.Context) (Block, error)
	// Mark is where the last block ended.
	Mark() Mark
	Close() error
}

// Fault says that a file can't be read further because of what is in it. The file ends there, the run goes on.
type Fault struct {
	Reject Reject
}

// Error implements error.
func (f *Fault) Error() string { return f.Reject.Reason }

// AsFault finds a fault in an error.
func AsFault(err error) (*Fault, bool) {
	var fault *Fault
	ok := errors.As(err, &fault)
	return fault, ok
}
