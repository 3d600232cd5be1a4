package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/sdk"
)

// send emits rows and rejections and notes how far the file is read. It returns false, having freed the rows, if the schema has a
// newer version by now.
func (r *run) send(ctx context.Context, t task, version int, rows block.Rows, end block.Mark) (bool, error) {
	count := int64(len(rows.Rejects))
	if rows.Record != nil {
		count += rows.Record.NumRows()
	}
	sent, err := r.sendRows(ctx, t, version, rows, end)
	if err != nil || !sent {
		return sent, err
	}
	t.stream.rows.Add(count)
	r.report(t, false)
	if r.rows.Add(count) < or(r.source.config.CheckpointRows, 250_000) {
		return true, nil
	}
	return true, r.checkpoint(ctx)
}

func (r *run) sendRows(ctx context.Context, t task, version int, rows block.Rows, end block.Mark) (bool, error) {
	r.gate.RLock()
	defer r.gate.RUnlock()
	if rows.Record != nil && version != t.stream.version {
		rows.Record.Release()
		return false, nil
	}
	r.dirty.Store(true)
	if err := r.reject(ctx, t, rows.Rejects); err != nil {
		if rows.Record != nil {
			rows.Record.Release()
		}
		return false, err
	}
	if rows.Record != nil {
		err := r.out.Batch(ctx, sdk.Batch{Stream: t.stream.name, Version: version, Origin: t.file.Path, Record: rows.Record})
		if err != nil {
			return false, err
		}
	}
	r.journal.advance(t.stream.name, t.file.Path, stampOf(t.file, end))
	return true, nil
}

func (r *run) reject(ctx context.Context, t task, rejects []block.Reject) error {
	if len(rejects) == 0 {
		return nil
	}
	out := make([]sdk.Rejection, 0, len(rejects))
	for _, reject := range rejects {
		out = append(out, sdk.Rejection{
			Stream: t.stream.name, Code: reject.Code, Reason: short(reject.Reason), Raw: reject.Raw,
			Origin: fmt.Sprintf("%s:%d", t.file.Path, reject.Line), Row: sdk.NoRow,
		})
	}
	return r.out.Reject(ctx, out...)
}

// short cuts a reason: those of the libraries quote what they don't like, such as the path of a value that lies thousands deep.
func short(reason string) string {
	const most = 1000
	if len(reason) <= most {
		return reason
	}
	return strings.ToValidUTF8(reason[:most], "") + "…"
}

// broken ends a file that can't be read further because of its content: the rest is rejected and the run goes on. Other errors
// end the run.
func (r *run) broken(ctx context.Context, t task, at block.Mark, err error) error {
	fault, ok := block.AsFault(err)
	if !ok {
		return openError(t.file, err)
	}
	r.source.env.Log.Warn("the rest of a file is rejected", "file", t.file.Path, "line", fault.Reject.Line, "reason", fault.Reject.Reason)
	if err := r.sendLast(ctx, t, fault.Reject, at); err != nil {
		return err
	}
	return r.fileEnd(ctx, t)
}

func (r *run) sendLast(ctx context.Context, t task, reject block.Reject, at block.Mark) error {
	r.gate.RLock()
	defer r.gate.RUnlock()
	if err := r.reject(ctx, t, []block.Reject{reject}); err != nil {
		return err
	}
	r.rows.Add(1)
	r.journal.finish(t.stream.name, t.file.Path, stampOf(t.file, at))
	return nil
}

// finish notes that a file is read. Of a file that may grow it notes how much was read, which may be more or less than was listed.
func (r *run) finish(ctx context.Context, t task, end block.Mark) error {
	s := stampOf(t.file, end)
	k, err := t.stream.files.kindOf(t.file.Path)
	if err != nil {
		return err
	}
	if k.appendable(t.file) {
		now, err := t.file.Stat(ctx)
		if err != nil {
			return openError(t.file, err)
		}
		if now.Size == end.Offset {
			s = stampOf(now, end)
		}
		s.Size = end.Offset
	}
	r.gate.RLock()
	r.journal.finish(t.stream.name, t.file.Path, s)
	r.gate.RUnlock()
	return r.fileEnd(ctx, t)
}

// smallPosition is written at every file's end, a larger one only when as many bytes have been read since it was last written:
// with a hundred thousand small files the positions would else outweigh the data.
const smallPosition = 64 << 10

func (r *run) fileEnd(ctx context.Context, t task) error {
	r.dirty.Store(true)
	r.report(t, true)
	r.gate.RLock()
	last := r.points
	r.gate.RUnlock()
	if last.size > smallPosition && r.bytes()-last.bytes < int64(last.size) {
		return nil
	}
	return r.checkpoint(ctx)
}

func (r *run) bytes() int64 {
	var n int64
	for _, s := range r.streams {
		n += s.read.Load()
	}
	return n
}

// checkpoint waits for the batches in flight and emits the position after them.
func (r *run) checkpoint(ctx context.Context) error {
	r.gate.Lock()
	defer r.gate.Unlock()
	if !r.dirty.Load() && r.points.count > 0 {
		return nil // another file's checkpoint came first and covers this one
	}
	pos, err := r.journal.encode()
	if err != nil {
		return err
	}
	if err := r.out.Checkpoint(ctx, pos); err != nil {
		return err
	}
	r.rows.Store(0)
	r.dirty.Store(false)
	r.points = checkpoints{count: r.points.count + 1, size: len(pos), bytes: r.bytes()}
	return nil
}

const reportEvery = 500 * time.Millisecond

// report tells people how far the read is; now and then, and at the end of every file.
func (r *run) report(t task, always bool) {
	now := time.Now().UnixNano()
	last := r.reported.Load()
	if !always && (now-last < int64(reportEvery) || !r.reported.CompareAndSwap(last, now)) {
		return
	}
	read := t.stream.read.Load()
	r.out.Progress(sdk.Progress{
		Stream: t.stream.name, Rows: uint64(t.stream.rows.Load()), Bytes: uint64(read), //nolint:gosec // counts are never negative
		TotalBytes: uint64(max(t.stream.total, read)), Message: t.file.Path, //nolint:gosec // as above
	})
}
