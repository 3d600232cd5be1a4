package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/sdk"
)

// run is one Read: passes over the files, several files at a time.
type run struct {
	source  *Source
	request sdk.ReadRequest
	out     sdk.Emitter
	streams []*stream
	journal *journal

	// gate keeps the position equal to what was emitted: a batch and its entry in the journal pass together under the read lock,
	// several files side by side; checkpoints and schemas pass alone.
	gate   sync.RWMutex
	rows   atomic.Int64 // since the last checkpoint
	dirty  atomic.Bool  // something happened since the last checkpoint
	points checkpoints

	reported atomic.Int64 // when progress was last reported, in nanoseconds
}

// checkpoints are under the gate's write lock.
type checkpoints struct {
	count int
	size  int   // of the last position
	bytes int64 // read at the last checkpoint
}

// task is a file to be read.
type task struct {
	stream *stream
	file   store.File
	from   block.Mark
	hold   bool // a writer may still be at work on its last line
}

func (s *Source) newRun(req sdk.ReadRequest, out sdk.Emitter) (*run, error) {
	streams, err := s.selected(req.Streams)
	if err != nil {
		return nil, err
	}
	journal, err := openJournal(req.Position)
	if err != nil {
		return nil, err
	}
	return &run{source: s, request: req, out: out, streams: streams, journal: journal}, nil
}

// all reads until the end, or until it is told to stop.
func (r *run) all(ctx context.Context) error {
	for first := true; ; first = false {
		if err := r.pass(ctx, first); err != nil {
			return err
		}
		if !r.request.Follow || r.stopped() {
			return r.checkpoint(ctx)
		}
		if r.dirty.Load() {
			if err := r.checkpoint(ctx); err != nil {
				return err
			}
		}
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
}

func (r *run) stopped() bool {
	select {
	case <-r.request.Stop:
		return true
	default:
		return false
	}
}

func (r *run) wait(ctx context.Context) error {
	timer := time.NewTimer(time.Duration(or(r.source.config.Poll, sdk.Duration(5*time.Second))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.request.Stop:
	case <-timer.C:
	}
	return nil
}

// pass reads what is new since the last one.
func (r *run) pass(ctx context.Context, first bool) error {
	var tasks []task
	for _, s := range r.streams {
		files, err := s.list(ctx, r.source.stores)
		// Whoever follows waits for files to come once it has begun.
		if err != nil && (!onlyMissing(err) || (first && !r.source.config.AllowEmpty)) {
			return err
		}
		found, err := r.tasks(ctx, s, files)
		if err != nil {
			return err
		}
		if len(found) > 0 && s.schema == nil {
			if err := r.begin(ctx, s, files); err != nil {
				return err
			}
		}
		tasks = append(tasks, found...)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(or(r.source.config.Parallel, 2))
	for _, t := range tasks {
		if groupCtx.Err() != nil || r.stopped() {
			break
		}
		group.Go(func() error { return r.file(groupCtx, t) })
	}
	return group.Wait()
}

// tasks are the files of a stream that must be read.
func (r *run) tasks(ctx context.Context, s *stream, files []store.File) ([]task, error) {
	var out []task
	s.total = s.read.Load()
	for _, f := range files {
		v, err := r.decide(ctx, s, f)
		if err != nil {
			return nil, err
		}
		if !v.read {
			continue
		}
		t := task{stream: s, file: f, from: v.from}
		if r.unsettled(f) {
			k, err := s.files.kindOf(f.Path)
			if err != nil {
				return nil, err
			}
			if !k.appendable(f) || or(r.source.config.Changed, changedAppend) != changedAppend {
				continue // it is complete when it has been left alone for a while
			}
			t.hold = true
		}
		s.total += f.Size - min(v.from.Offset, f.Size)
		out = append(out, t)
	}
	return out, nil
}

// unsettled says whether somebody may still be writing a file. Objects appear at once.
func (r *run) unsettled(f store.File) bool {
	settle := time.Duration(or(r.source.config.Settle, sdk.Duration(2*time.Second)))
	return r.request.Follow && f.Local() && time.Since(f.ModTime) < settle
}

// begin takes up the schema that the position has, or finds one.
func (r *run) begin(ctx context.Context, s *stream, files []store.File) error {
	known, err := r.journal.schema(s.name)
	if err != nil {
		return err
	}
	var fields []arrow.Field
	if known != nil {
		fields = s.withDeclared(known.Fields())
	} else {
		var read atomic.Int64
		if fields, _, err = s.discover(ctx, r.source.opening(s, &read), files); err != nil {
			return err
		}
	}
	r.gate.Lock()
	defer r.gate.Unlock()
	return r.setSchema(ctx, s, fields)
}

// setSchema begins a version. The caller holds the gate alone. A stream without columns has no version yet.
func (r *run) setSchema(ctx context.Context, s *stream, fields []arrow.Field) error {
	schema := arrow.NewSchema(fields, nil)
	s.schema = schema
	if len(fields) == 0 {
		return nil
	}
	if err := s.checkKey(schema); err != nil {
		return err
	}
	if err := r.journal.setSchema(s.name, schema); err != nil {
		return err
	}
	s.version++
	r.dirty.Store(true)
	return r.out.Schema(ctx, sdk.SchemaChange{Stream: s.name, Version: s.version, Schema: schema, Key: s.files.Key})
}

// evolve adds columns to a stream and says whether there were new ones. A *block.Fault says that the stream can't have them.
func (r *run) evolve(ctx context.Context, s *stream, fields []arrow.Field) (bool, error) {
	if current, _ := r.current(s); !grows(s, current, fields) {
		return false, nil
	}
	r.gate.Lock()
	defer r.gate.Unlock()
	merged, grew := s.rules().Union(s.schema.Fields(), fields)
	if !grew {
		return true, nil // another file has brought them meanwhile
	}
	if err := column.Check(merged); err != nil {
		return false, &block.Fault{Reject: block.Reject{
			Line: 1, Code: block.TooWide, Reason: fmt.Sprintf("the rest of the file is not read: with its columns the stream has %v", err),
		}}
	}
	return true, r.setSchema(ctx, s, merged)
}

func grows(s *stream, current *arrow.Schema, fields []arrow.Field) bool {
	_, grew := s.rules().Union(current.Fields(), fields)
	return grew
}

func (r *run) current(s *stream) (*arrow.Schema, int) {
	r.gate.RLock()
	defer r.gate.RUnlock()
	return s.schema, s.version
}

// file reads one file from its mark to its end, or until it is told to stop.
func (r *run) file(ctx context.Context, t task) (err error) {
	o := r.source.opening(t.stream, &t.stream.read)
	o.holdTail = t.hold
	if !t.stream.files.Infer.Widen {
		o.known, _ = r.current(t.stream)
	}
	reader, err := o.open(ctx, t.file, t.from)
	if err != nil {
		return r.broken(ctx, t, t.from, err)
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	if _, err := r.evolve(ctx, t.stream, reader.Fields()); err != nil {
		return r.broken(ctx, t, t.from, err)
	}
	for !r.stopped() {
		before := reader.Mark()
		b, err := reader.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			r.warnOfRepeats(t, reader)
			return r.finish(ctx, t, reader.Mark())
		case err != nil:
			return r.broken(ctx, t, reader.Mark(), err)
		}
		err = r.emit(ctx, t, b)
		if fault, ok := block.AsFault(err); ok {
			fault.Reject.Line = t.place(before)
			return r.broken(ctx, t, b.End(), fault)
		}
		if err != nil {
			return openError(t.file, err)
		}
	}
	return nil
}

// place is what a rejection says of a mark: the line, or the row where the format has no lines.
func (t task) place(m block.Mark) int64 {
	if k, err := t.stream.files.kindOf(t.file.Path); err == nil && (k.format == formatParquet || k.format == formatArrow) {
		return m.Row + 1
	}
	return m.Line + 1
}

// warnOfRepeats says how many records lost a value because a later one has the same name.
func (r *run) warnOfRepeats(t task, reader block.Reader) {
	if counted, ok := reader.(interface{ Repeated() int64 }); ok && counted.Repeated() > 0 {
		r.source.env.Log.Warn("a name occurs twice in an object, its last value was taken", "file", t.file.Path,
			"records", counted.Repeated(), "hint", "json: {repeated_keys: reject} sends such records to quarantine")
	}
}

// emit binds a block to the stream's schema and sends it. A block that has new columns is bound again once the stream has them, and
// so is one that was overtaken by a new version of the schema. A *block.Fault says that the block can't be bound.
func (r *run) emit(ctx context.Context, t task, b block.Block) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		schema, version := r.current(t.stream)
		var rows block.Rows
		err := block.Guard(func() (err error) {
			rows, err = b.Bind(ctx, block.Limit(r.source.env.Alloc), schema)
			return err
		})
		if err != nil {
			return err
		}
		if len(rows.Unknown) > 0 {
			grew, err := r.evolve(ctx, t.stream, rows.Unknown)
			if err == nil && !grew {
				err = sdk.Fatal(fmt.Errorf("file %q: new columns did not change the schema of stream %q", t.file.Path, t.stream.name))
			}
			if err != nil {
				return err
			}
			continue
		}
		sent, err := r.send(ctx, t, version, rows, b.End())
		if err != nil || sent {
			return err
		}
	}
}
