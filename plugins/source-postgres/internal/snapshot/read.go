package snapshot

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/sync/errgroup"
)

// Handler takes what is read, in the order of the chunks.
type Handler interface {
	// Rows takes rows of a chunk; it owns the record.
	Rows(ctx context.Context, c Chunk, r Rows) error
	// End says that all rows of a chunk were given.
	End(ctx context.Context, c Chunk) error
}

// Source is where a session's chunks come from: one after the other, until there are none.
type Source func(ctx context.Context) (c Chunk, more bool, err error)

// ahead is how many parts of a chunk wait until those of the chunks before have been taken.
const ahead = 6

// job is a chunk on its way.
type job struct {
	chunk Chunk
	rows  chan Rows
}

// Read reads chunks until the source has no more.
func (s *Session) Read(ctx context.Context, next Source, schema func(*Table) *arrow.Schema, alloc memory.Allocator, h Handler) error {
	group, ctx := errgroup.WithContext(ctx)
	jobs := make(chan *job)
	ordered := make(chan *job, len(s.readers))
	group.Go(func() error {
		defer close(jobs)
		defer close(ordered)
		for {
			chunk, more, err := next(ctx)
			if err != nil || !more {
				return err
			}
			j := &job{chunk: chunk, rows: make(chan Rows, ahead)}
			for _, to := range []chan *job{ordered, jobs} {
				select {
				case to <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	})
	for _, conn := range s.readers {
		group.Go(func() error {
			for j := range jobs {
				give := func(r Rows) error { return put(ctx, j.rows, r) }
				err := Copy(ctx, conn, j.chunk.Table, j.chunk.SQL, 0, schema(j.chunk.Table), alloc, give)
				if err != nil {
					return err
				}
				close(j.rows)
			}
			return nil
		})
	}
	var taken []*job
	group.Go(func() error {
		for j := range ordered {
			taken = append(taken[:0], j)
			if err := take(ctx, j, h); err != nil {
				return err
			}
		}
		return nil
	})
	err := group.Wait()
	for j := range ordered {
		taken = append(taken, j)
	}
	for _, j := range taken {
		drain(j.rows)
	}
	return err
}

func put(ctx context.Context, to chan Rows, r Rows) error {
	select {
	case to <- r:
		return nil
	case <-ctx.Done():
		release(r)
		return ctx.Err()
	}
}

func take(ctx context.Context, j *job, h Handler) error {
	for {
		select {
		case r, more := <-j.rows:
			if !more {
				return h.End(ctx, j.chunk)
			}
			if err := h.Rows(ctx, j.chunk, r); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain frees what nobody takes any more. All writers have ended.
func drain(rows chan Rows) {
	for {
		select {
		case r, more := <-rows:
			if !more {
				return
			}
			release(r)
		default:
			return
		}
	}
}

func release(r Rows) {
	if r.Record != nil {
		r.Record.Release()
	}
}
