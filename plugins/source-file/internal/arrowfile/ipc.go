package arrowfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/sdk/wire"
)

// batches is an Arrow file or stream. Next returns io.EOF behind the last batch; a batch is valid until the next call.
type batches interface {
	Schema() *arrow.Schema
	Read() (arrow.RecordBatch, error)
}

// IPC implements block.Reader. It holds one record batch of the file at a time and hands it on in pieces.
type IPC struct {
	settings Settings
	alloc    *block.Limited
	input    *input
	source   batches // nil for an empty stream
	free     func()
	whole    arrow.RecordBatch // the batch with the number mark.Part, or nil; it belongs to source
	within   int64             // rows of that batch before the mark
	current  *rowsBlock
	mark     block.Mark
}

// OpenIPC reads the schema and goes to the mark.
func OpenIPC(ctx context.Context, f store.File, mark block.Mark, s Settings, read *atomic.Int64) (*IPC, error) {
	in, err := openInput(ctx, f, read)
	if err != nil {
		return nil, err
	}
	r := &IPC{settings: s, alloc: block.Limit(s.Alloc), input: in, free: func() {}, mark: mark}
	if err := guard(func() error { return r.open() }); err != nil {
		_ = r.Close()
		return nil, in.prefer(err, mark.Row)
	}
	return r, nil
}

var fileMagic = []byte("ARROW1")

func (r *IPC) open() error {
	head := make([]byte, len(fileMagic))
	n, err := r.input.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n == 0 {
		return nil
	}
	if bytes.Equal(head, fileMagic) {
		err = r.openFile()
	} else {
		err = r.openStream()
	}
	if err != nil {
		return fmt.Errorf("arrow: %w", err)
	}
	if err := errors.Join(column.Check(r.source.Schema().Fields()), wire.ValidateSchema(r.source.Schema())); err != nil {
		return fmt.Errorf("arrow: %w", err)
	}
	return r.skipRows()
}

func (r *IPC) options() []ipc.Option {
	return []ipc.Option{ipc.WithAllocator(r.alloc), ipc.WithMetadataSizeLimit(maxMetadata), ipc.WithBodySizeLimit(maxBody)}
}

// openFile goes to the mark's batch by its number.
func (r *IPC) openFile() error {
	file, err := openNumbered(r.input, r.mark.Part, r.options()...)
	if err != nil {
		return err
	}
	r.source = file
	r.free = func() { _ = file.Close() }
	return nil
}

// openStream reads what lies before the mark's batch.
func (r *IPC) openStream() error {
	stream, err := ipc.NewReaderFromMessageReader(&messages{input: r.input, alloc: r.alloc}, r.options()...)
	if err != nil {
		return err
	}
	r.source, r.free = stream, stream.Release
	for range r.mark.Part {
		if _, err := stream.Read(); err != nil {
			return err
		}
	}
	return nil
}

// skipRows goes to the mark within its batch: the mark's offset is rows there, as an Arrow file has no text.
func (r *IPC) skipRows() error {
	if r.mark.Offset == 0 {
		return nil
	}
	if err := r.load(); err != nil {
		return err
	}
	r.within = r.mark.Offset
	return nil
}

func (r *IPC) load() error {
	var err error
	r.whole, err = r.source.Read()
	r.within = 0
	if err == nil {
		err = wire.ValidateStructure(r.whole)
	}
	if err != nil {
		r.whole = nil
	}
	return err
}

// Fields implements block.Reader.
func (r *IPC) Fields() []arrow.Field {
	if r.source == nil {
		return nil
	}
	return plainFields(r.source.Schema())
}

// Mark implements block.Reader.
func (r *IPC) Mark() block.Mark { return r.mark }

// Next implements block.Reader.
func (r *IPC) Next(context.Context) (block.Block, error) {
	r.drop()
	r.alloc.Reset()
	if r.source == nil {
		return nil, io.EOF
	}
	for r.whole == nil || r.within >= r.whole.NumRows() {
		if r.whole != nil {
			r.mark.Part++
			r.mark.Offset = 0
		}
		end := false
		err := guard(func() error {
			err := r.load()
			end = errors.Is(err, io.EOF)
			return err
		})
		if end {
			return nil, io.EOF
		}
		if err != nil {
			return nil, r.input.prefer(err, r.mark.Row)
		}
	}
	to := min(r.within+int64(r.settings.BatchRows), r.whole.NumRows())
	r.current = &rowsBlock{record: r.whole.NewSlice(r.within, to), first: r.mark.Row}
	r.mark.Row += to - r.within
	r.within, r.mark.Offset = to, to
	r.current.end = r.mark
	return r.current, nil
}

func (r *IPC) drop() {
	if r.current != nil {
		r.current.record.Release()
		r.current = nil
	}
}

// Close implements block.Reader.
func (r *IPC) Close() error {
	r.drop()
	r.free()
	return r.input.Close()
}
