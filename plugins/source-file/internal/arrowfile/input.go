package arrowfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
)

// input is a file as the Parquet and Arrow readers want it. It remembers the first fault of the store, because those readers
// don't pass errors on as they are.
type input struct {
	*io.SectionReader
	random store.Random
	read   *atomic.Int64

	mu    sync.Mutex
	fault error
}

func openInput(ctx context.Context, f store.File, read *atomic.Int64) (*input, error) {
	random, err := f.Random(ctx)
	if err != nil {
		return nil, err
	}
	in := &input{random: random, read: read}
	in.SectionReader = io.NewSectionReader(readerAt{in}, 0, f.Size)
	return in, nil
}

type readerAt struct{ *input }

func (r readerAt) ReadAt(p []byte, offset int64) (int, error) {
	n, err := r.random.ReadAt(p, offset)
	r.read.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.fault == nil {
			r.fault = err
		}
	}
	return n, err
}

// prefer returns the store's fault if there was one: then the content is not to blame. A fault of the content gets its row.
func (in *input) prefer(err error, row int64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.fault != nil {
		return in.fault
	}
	if fault, ok := block.AsFault(err); ok {
		fault.Reject.Line = row + 1
		fault.Reject.Reason = fmt.Sprintf("from row %d on: %s", row+1, fault.Reject.Reason)
	}
	return err
}

// Close closes the file.
func (in *input) Close() error { return in.random.Close() }
