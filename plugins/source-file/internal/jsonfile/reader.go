// Package jsonfile reads JSON Lines, and JSON files that are an array of objects or objects one after the other. Commas and tabs
// are in csvfile.
package jsonfile

import (
	"bytes"
	"context"
	"errors"
	"io"
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
	Layers     text.Layers
	Lines      bool // a value per line
	Declared   column.Declared
	Known      *arrow.Schema // the stream's columns, if not nil: others are inferred where they come
	AllStrings bool
	SampleRows int
	BatchRows  int
	// HoldTail leaves a last line without its end for later: a writer may not be done with it.
	HoldTail bool
	Repeated string // RepeatedLast, which is the default, or RepeatedReject
}

// Reader implements block.Reader.
type Reader struct {
	settings Settings
	window   *text.Window
	mark     block.Mark
	fields   []arrow.Field
	current  jsonBlock
	pending  pending
	held     error // a fault behind the current block
	sampling bool  // nothing may be consumed
	width    int   // columns of the stream
	repeated int64 // records in which a name occurs twice
}

// Open reads a sample from the beginning and goes to the mark.
func Open(ctx context.Context, f store.File, mark block.Mark, s Settings, read *atomic.Int64) (*Reader, error) {
	window, err := text.NewWindow(ctx, s.Layers, f, block.Mark{}, read)
	if err != nil {
		return nil, err
	}
	r := &Reader{settings: s, window: window}
	r.current.reader = r
	if err := r.begin(ctx, f, mark, read); err != nil {
		_ = r.window.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) begin(ctx context.Context, f store.File, mark block.Mark, read *atomic.Int64) error {
	if err := r.sample(); err != nil {
		return err
	}
	r.mark = r.window.Mark()
	if mark.Offset == 0 {
		return nil
	}
	window, err := text.NewWindow(ctx, r.settings.Layers, f, mark, read)
	if err != nil {
		return err
	}
	_ = r.window.Close()
	r.window, r.mark = window, mark
	return nil
}

// sample infers types. A fault in the file waits until the reader gets there.
func (r *Reader) sample() error {
	if r.settings.Known != nil && r.settings.Known.NumFields() > 0 {
		r.width = r.settings.Known.NumFields()
		return nil
	}
	r.sampling = true
	err := r.fillBlock(r.settings.SampleRows)
	if _, fault := block.AsFault(err); err != nil && !fault {
		return err
	}
	r.fields = r.current.infer(nil)
	r.width = len(r.fields)
	r.sampling, r.held = false, nil
	return nil
}

// Repeated is the number of records of which a value was left out because its name came again.
func (r *Reader) Repeated() int64 { return r.repeated }

// Fields implements block.Reader.
func (r *Reader) Fields() []arrow.Field { return r.fields }

// Mark implements block.Reader.
func (r *Reader) Mark() block.Mark { return r.mark }

// Close implements block.Reader.
func (r *Reader) Close() error { return r.window.Close() }

// Next implements block.Reader.
func (r *Reader) Next(context.Context) (block.Block, error) {
	if r.held != nil {
		return nil, r.held
	}
	before := r.mark.Offset
	if err := r.fillBlock(min(r.settings.BatchRows, max(1, block.MaxCells/max(1, r.width)))); err != nil {
		// What stands before the fault goes first.
		if _, fault := block.AsFault(err); !fault || len(r.current.rows)+len(r.current.rejects) == 0 {
			return nil, err
		}
		r.held = err
	}
	b := &r.current
	if b.end.Offset == before && len(b.rows)+len(b.rejects) == 0 {
		return nil, io.EOF
	}
	r.window.MoveTo(b.end)
	r.mark = b.end
	return b, nil
}

// fillBlock cuts the text into records. It leaves the window where it is.
func (r *Reader) fillBlock(rows int) error {
	b, p := &r.current, &r.pending
	b.reset()
	at := r.window.Mark()
	*p = pending{line: at.Line, count: at.Row, phase: at.Part}
	var err error
	for more := true; more && err == nil && len(b.rows) < rows && p.pos < blockBytes; {
		p.data = r.window.Bytes()
		b.data = p.data
		more, err = r.cut(rows)
	}
	b.data = r.window.Bytes()
	b.end = r.window.After(p.pos, p.line-r.window.Mark().Line)
	b.end.Row, b.end.Part = p.count, p.phase
	if fault, ok := block.AsFault(err); ok && fault.Reject.Raw == nil {
		fault.Reject.Line, fault.Reject.Raw = p.line+1, block.Raw(b.data[p.pos:])
	}
	return err
}

// cut cuts until it needs more text or the block is full, and gets the text. It returns false where the block must end.
func (r *Reader) cut(rows int) (bool, error) {
	b, p := &r.current, &r.pending
	eof := r.window.EOF()
	one := r.cutValue
	if r.settings.Lines {
		one = r.cutLine
	}
	for len(b.rows) < rows && p.pos < blockBytes {
		found, err := one(eof)
		if err != nil {
			return false, err
		}
		if !found {
			break
		}
	}
	switch {
	case len(b.rows) >= rows || p.pos >= blockBytes:
		return true, nil
	case eof:
		return false, nil
	case len(p.data)-p.pos > block.MaxRecord:
		return false, r.oversized()
	}
	return true, r.window.Fill()
}

// cutLine takes a line. It returns false if there is none, or not all of it.
func (r *Reader) cutLine(eof bool) (bool, error) {
	p := &r.pending
	end := bytes.IndexByte(p.data[p.pos:], '\n')
	length := end + 1
	if end < 0 {
		length = len(p.data) - p.pos
		if !eof || length == 0 || r.settings.HoldTail {
			return false, nil
		}
	}
	record := bytes.TrimSpace(p.data[p.pos : p.pos+length])
	if len(record) > 0 {
		r.add(p.pos, p.pos+length)
	}
	p.pos += length
	if end >= 0 {
		p.line++
	}
	return true, nil
}

// cutValue takes a value of a JSON file.
func (r *Reader) cutValue(eof bool) (bool, error) {
	p := &r.pending
	before := *p
	found, err := r.nextValue(eof)
	if err != nil {
		*p = before
	}
	if !found || err != nil {
		return false, err
	}
	var s splitter
	length, complete := s.feed(p.data[p.pos:])
	// A number may end with the file.
	complete = complete || (eof && s.depth == 0 && !s.inString && p.phase == inSequence)
	if !complete && eof {
		err = r.fault("the file ends in the middle of a value")
	}
	if !complete {
		*p = before
		return false, err
	}
	p.line += r.add(p.pos, p.pos+length)
	p.pos += length
	p.count++
	return true, nil
}

// add takes a record in and returns the line ends in it.
func (r *Reader) add(start, end int) int64 {
	b, p := &r.current, &r.pending
	record := p.data[start:end]
	if len(record) > block.MaxRecord {
		b.rejects = append(b.rejects, tooLarge(p.line+1, record))
	} else {
		b.rows = append(b.rows, row{line: p.line + 1, start: uint32(start), end: uint32(end)}) //nolint:gosec // a block is far below 4 GiB
	}
	return int64(bytes.Count(record, newline))
}

func tooLarge(line int64, head []byte) block.Reject {
	return block.Reject{
		Line: line, Code: block.TooLarge, Reason: "a record of more bytes than are allowed (16 MiB)", Raw: block.Raw(head),
	}
}

// oversized skips a record that has not ended within the limit, in pieces. What stands before it becomes a block of its own first.
func (r *Reader) oversized() error {
	b, p := &r.current, &r.pending
	if len(b.rows)+len(b.rejects) > 0 || r.sampling {
		return nil
	}
	if !r.settings.Lines {
		if _, err := r.nextValue(false); err != nil {
			return err
		}
	}
	r.window.Skip(p.pos, p.line-r.window.Mark().Line)
	p.pos = 0
	reject := tooLarge(p.line+1, r.window.Bytes())
	err := r.skipRecord()
	p.line = r.window.Mark().Line
	if fault, ok := block.AsFault(err); ok {
		fault.Reject.Line, fault.Reject.Raw = reject.Line, reject.Raw
	}
	if err == nil {
		b.rejects = append(b.rejects, reject)
	}
	if err == nil && !r.settings.Lines {
		p.count++
	}
	return err
}

func (r *Reader) skipRecord() error {
	if r.settings.Lines {
		_, err := r.window.SkipLine()
		return err
	}
	return r.skipValue()
}

func (r *Reader) skipValue() error {
	var s splitter
	for {
		data := r.window.Bytes()
		n, complete := s.feed(data)
		r.window.Skip(n, int64(bytes.Count(data[:n], newline)))
		if complete {
			return nil
		}
		if r.window.EOF() {
			return text.Broken(errors.New("the file ends in the middle of a value"), r.window.Mark().Line)
		}
		if err := r.window.Fill(); err != nil {
			return err
		}
	}
}
