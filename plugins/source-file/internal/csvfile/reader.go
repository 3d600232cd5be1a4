// Package csvfile reads CSV and TSV files: a scanner cuts bytes into fields, blocks of records are built into Arrow column by
// column. Lines of JSON are in jsonfile.
package csvfile

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/plugins/source-file/internal/text"
)

// blockBytes ends a block before it has all of its rows.
const blockBytes = 4 << 20

// Settings of a reader.
type Settings struct {
	Dialect
	Layers     text.Layers
	Header     bool     // the first record has the names
	Names      []string // the columns' names, instead of the header's
	SkipRows   int      // lines before the header
	Nulls      []string // texts without quotes that are null
	Declared   column.Declared
	Known      *arrow.Schema // columns that need no inference, if not nil
	AllStrings bool
	SampleRows int
	BatchRows  int
	// HoldTail leaves a last line without its end for later: a writer may not be done with it.
	HoldTail bool
}

// Reader implements block.Reader.
type Reader struct {
	settings  Settings
	scan      *scanner
	window    *text.Window
	names     []string
	width     int
	index     map[string]int // column by name
	fields    []arrow.Field
	nulls     map[string]bool
	headerEnd block.Mark
	current   csvBlock
	pending   pending
	held      error // a fault behind the current block
	sampling  bool  // nothing may be consumed
}

// Open reads the header and a sample, and goes to the mark.
func Open(ctx context.Context, f store.File, mark block.Mark, s Settings, read *atomic.Int64) (*Reader, error) {
	window, err := text.NewWindow(ctx, s.Layers, f, block.Mark{}, read)
	if err != nil {
		return nil, err
	}
	r := &Reader{settings: s, scan: newScanner(s.Dialect), window: window, nulls: map[string]bool{}}
	r.current.reader = r
	for _, null := range s.Nulls {
		r.nulls[null] = true
	}
	if err := r.begin(ctx, f, mark, read); err != nil {
		_ = r.window.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) begin(ctx context.Context, f store.File, mark block.Mark, read *atomic.Int64) error {
	if err := r.readHeader(); err != nil {
		return err
	}
	if r.width == 0 {
		return nil
	}
	if err := r.sample(); err != nil {
		return err
	}
	if mark.Offset == 0 {
		return nil
	}
	window, err := text.NewWindow(ctx, r.settings.Layers, f, mark, read)
	if err != nil {
		return err
	}
	_ = r.window.Close()
	r.window = window
	return nil
}

// sample infers types, if there is a column without one. A fault in the file waits until the reader gets there.
func (r *Reader) sample() error {
	if known := r.settings.Known; known != nil && r.missing(known) < 0 {
		return nil
	}
	r.sampling = true
	defer func() { r.sampling = false }()
	if err := r.fillBlock(r.settings.SampleRows); err != nil {
		if _, fault := block.AsFault(err); !fault {
			return err
		}
	}
	// A file without records says nothing of its columns: they may get values of any type when it grows.
	if len(r.current.rows) > 0 || !r.pending.ended {
		r.fields = r.current.infer()
	}
	return nil
}

// missing is the first column that the schema lacks, or -1.
func (r *Reader) missing(schema *arrow.Schema) int {
	return slices.IndexFunc(r.names, func(name string) bool { return !schema.HasField(name) })
}

// Fields implements block.Reader.
func (r *Reader) Fields() []arrow.Field { return r.fields }

// Mark implements block.Reader.
func (r *Reader) Mark() block.Mark { return r.window.Mark() }

// Close implements block.Reader.
func (r *Reader) Close() error { return r.window.Close() }

// Next implements block.Reader.
func (r *Reader) Next(context.Context) (block.Block, error) {
	if r.width == 0 {
		return nil, io.EOF
	}
	if r.held != nil {
		return nil, r.held
	}
	b := &r.current
	if err := r.fillBlock(min(r.settings.BatchRows, max(1, block.MaxCells/r.width))); err != nil {
		// What stands before the fault goes first.
		if _, fault := block.AsFault(err); !fault || len(b.rows)+len(b.rejects) == 0 {
			return nil, err
		}
		r.held = err
	}
	if b.end.Offset == r.window.Mark().Offset && len(b.rows)+len(b.rejects) == 0 {
		return nil, io.EOF
	}
	// What the block refers to stays where it is until the window is filled again.
	r.window.MoveTo(b.end)
	return b, nil
}

func (r *Reader) isNull(f span, value []byte) bool {
	return len(r.nulls) > 0 && f.kind == bare && r.nulls[string(value)]
}

// pending is a block in the making. Places are relative to the window's mark.
type pending struct {
	data []byte
	pos  int
	line int64 // lines before pos

	ended bool // the file has no more records
}

// fillBlock scans records into the current block. It leaves the window where it is.
func (r *Reader) fillBlock(rows int) error {
	b, p := &r.current, &r.pending
	b.reset()
	*p = pending{line: r.window.Mark().Line}
	var err error
	for more := true; more && err == nil && len(b.rows) < rows && p.pos < blockBytes; {
		p.data = r.window.Bytes()
		more, err = r.scanOne(rows)
	}
	b.data = r.window.Bytes()
	b.end = r.window.After(p.pos, p.line-r.window.Mark().Line)
	if fault, ok := block.AsFault(err); ok {
		fault.Reject.Line, fault.Reject.Raw = p.line+1, block.Raw(b.data[p.pos:])
	}
	return err
}

// scanOne scans until it needs more text or the block is full, and gets the text. It returns false at the end of the file, and
// where a record is too large for the window.
func (r *Reader) scanOne(rows int) (bool, error) {
	b, p := &r.current, &r.pending
	b.data = p.data
	eof := r.window.EOF()
	for len(b.rows) < rows && p.pos < blockBytes {
		next, lines, known := r.skipLines(p.data, p.pos, eof && !r.settings.HoldTail)
		p.pos, p.line = next, p.line+lines
		if known && p.pos == len(p.data) {
			p.ended = true
			return false, nil
		}
		if !known || !r.scanRecord(eof) {
			break
		}
	}
	if len(b.rows) >= rows || p.pos >= blockBytes {
		return true, nil
	}
	if eof {
		p.ended = true // the tail is held back
		return false, nil
	}
	if len(p.data)-p.pos > block.MaxRecord {
		return r.oversized()
	}
	return true, r.window.Fill()
}

// scanRecord adds one record, as a row or as a rejection. It returns false if there is not enough text for it.
func (r *Reader) scanRecord(eof bool) bool {
	b, p := &r.current, &r.pending
	before := len(b.fields)
	fields, next, state := r.scan.record(p.data, p.pos, eof, b.fields)
	record := row{line: p.line + 1, start: uint32(p.pos)} //nolint:gosec // a block is far below 4 GiB
	if state == unclosed {
		next, _ = lineEnd(p.data, p.pos, eof)
	}
	if state == unfinished || (r.settings.HoldTail && (state == unclosed || openEnded(p.data, next))) {
		b.fields = fields[:before]
		return false
	}
	record.end = uint32(next) //nolint:gosec // a block is far below 4 GiB
	b.fields = fields
	switch {
	case state == unclosed:
		b.reject(record, block.Malformed, "a quote that opens in this line is not closed in the rest of the file")
	case state == badQuote:
		b.reject(record, block.Malformed, "a quote stands where none may be; quotes in a quoted field are written twice")
	case next-p.pos > block.MaxRecord:
		b.reject(record, block.TooLarge, "a record of %d bytes, at most %d are allowed", next-p.pos, block.MaxRecord)
	case len(fields)-before != r.width:
		b.reject(record, block.Ragged, "%d fields, expected %d", len(fields)-before, r.width)
	default:
		b.rows = append(b.rows, record)
		before = len(fields)
	}
	b.fields = fields[:before]
	p.line += int64(bytes.Count(p.data[p.pos:next], newline))
	p.pos = next
	return true
}

// openEnded says whether the record that ends at next lacks its line end.
func openEnded(data []byte, next int) bool {
	return next == len(data) && data[next-1] != '\n'
}

var newline = []byte("\n")

// oversized rejects a record that has not ended within the limit. What stands before it becomes a block of its own first. If the
// record has a line end, the quote that opens in its first line is taken for a stray one, and the next line is read; else all of
// the long line is skipped.
func (r *Reader) oversized() (bool, error) {
	b, p := &r.current, &r.pending
	if p.pos > 0 || r.sampling {
		return false, nil
	}
	if at := bytes.IndexByte(p.data, '\n'); at >= 0 {
		b.reject(row{line: p.line + 1, end: uint32(at + 1)}, block.Malformed, //nolint:gosec // a block is far below 4 GiB
			"a quote that opens in this line is not closed within %d bytes", block.MaxRecord)
		p.pos, p.line = at+1, p.line+1
		return true, nil
	}
	head, err := r.window.SkipLine()
	if err != nil {
		return false, err
	}
	b.rejects = append(b.rejects, block.Reject{
		Line: p.line + 1, Code: block.TooLarge, Raw: block.Raw(head),
		Reason: "a line of more bytes than are allowed (16 MiB)",
	})
	p.line = r.window.Mark().Line
	return false, nil
}
