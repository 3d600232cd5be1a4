package conformance

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
	"github.com/qanat-data/qanat/sdk/wire"
)

// recording is what a source has emitted.
type recording struct {
	rows     map[string][]row // by stream
	bytes    int64
	rejected []uint64
	codes    map[string]int // of rejections
	marks    []mark
	versions map[string]int
	since    int  // rows and rejections since the last checkpoint
	ended    bool // by itself, at the end of input
	asked    bool // it was asked to stop
}

// row is the hash of a row and of its origin.
type row struct{ value, origin uint64 }

// mark is a checkpoint: where in the recording it stands.
type mark struct {
	position sdk.Position
	rows     map[string]int
	rejected int
}

func newRecording() *recording {
	return &recording{rows: map[string][]row{}, codes: map[string]int{}, versions: map[string]int{}}
}

func (r *recording) total() int {
	n := 0
	for _, rows := range r.rows {
		n += len(rows)
	}
	return n
}

// take adds an event and releases what it holds.
func (r *recording) take(event strict.Event) error {
	switch {
	case event.Schema != nil:
		r.versions[event.Schema.Stream]++
	case event.Batch != nil:
		r.batch(event.Batch)
	case event.Rejections != nil:
		for _, rejection := range event.Rejections {
			if rejection.Stream == "" {
				return seen("rejections that name their stream", "code %q, reason %q without one", rejection.Code, rejection.Reason)
			}
			r.codes[rejection.Code]++
			r.rejected = append(r.rejected, maphash.String(hashSeed, rejection.Stream+"\x00"+rejection.Code+"\x00"+rejection.Origin+"\x00"+string(rejection.Raw)))
		}
		r.since += len(event.Rejections)
	case event.Checkpoint != nil:
		m := mark{position: event.Checkpoint, rows: map[string]int{}, rejected: len(r.rejected)}
		for stream, rows := range r.rows {
			m.rows[stream] = len(rows)
		}
		r.marks, r.since = append(r.marks, m), 0
	}
	return nil
}

func (r *recording) batch(b *sdk.Batch) {
	defer b.Record.Release()
	r.bytes += wire.Size(b.Record)
	g := &grid{}
	g.add(b.Record)
	leavePlaces(g, b.Record)
	origin := maphash.String(hashSeed, b.Origin)
	rows := r.rows[b.Stream]
	for _, sum := range g.sums() {
		rows = append(rows, row{value: sum, origin: origin})
	}
	r.rows[b.Stream] = rows
	r.since += int(b.Record.NumRows())
}

// leavePlaces leaves out where snapshot rows of change data stand in the order of changes: that is when the read began, and each begins at
// another time.
func leavePlaces(g *grid, record arrow.RecordBatch) {
	at, err := change.Columns(record.Schema())
	if err != nil || at.Op < 0 || at.Pos < 0 {
		return
	}
	ops, ok := record.Column(at.Op).(*array.Uint8)
	for i := range g.rows {
		if ok && change.Op(ops.Value(i)) == change.Snapshot {
			g.rows[i][at.Pos] = nullHash
		}
	}
}

// after is the part of the recording that lies behind a mark.
func (r *recording) after(m mark) *recording {
	rest := newRecording()
	rest.ended = r.ended
	for stream, rows := range r.rows {
		if tail := rows[m.rows[stream]:]; len(tail) > 0 {
			rest.rows[stream] = tail
		}
	}
	rest.rejected = r.rejected[m.rejected:]
	return rest
}

// differs says how another recording of the same rows differs, in words; "" if it doesn't. Where one of the two was stopped, the
// other's further rows are left out.
func (r *recording) differs(other *recording, ordered bool) string {
	whole := r.ended && other.ended
	streams := slices.Sorted(maps.Keys(r.rows))
	for _, stream := range slices.Sorted(maps.Keys(other.rows)) {
		if _, both := r.rows[stream]; !both && whole {
			streams = append(streams, stream)
		}
	}
	for _, stream := range streams {
		a, b := r.rows[stream], other.rows[stream]
		if !whole {
			a, b = common(a, b, ordered)
		}
		if text := rowsDiffer(a, b, ordered); text != "" {
			return fmt.Sprintf("stream %q: %s", stream, text)
		}
	}
	if missing, extra := difference(r.rejected, other.rejected); whole && missing+extra > 0 {
		return fmt.Sprintf("of %d rejections %d are missing, and %d are new", len(r.rejected), missing, extra)
	}
	return ""
}

// common cuts two parts of the same rows to what both have of each origin. Without an order nothing can be said about parts.
func common(a, b []row, ordered bool) (left, right []row) {
	if !ordered {
		return nil, nil
	}
	x, y := byOrigin(a), byOrigin(b)
	for origin := range x {
		n := min(len(x[origin]), len(y[origin]))
		left, right = append(left, x[origin][:n]...), append(right, y[origin][:n]...)
	}
	return left, right
}

func byOrigin(rows []row) map[uint64][]row {
	out := map[uint64][]row{}
	for _, r := range rows {
		out[r.origin] = append(out[r.origin], r)
	}
	return out
}

func rowsDiffer(a, b []row, ordered bool) string {
	missing, extra := difference(values(a), values(b))
	if missing+extra > 0 {
		return fmt.Sprintf("%d rows, expected %d: %d of the expected rows are missing, %d were not expected; %s", len(b), len(a), missing, extra, firstDifference(a, b))
	}
	if !ordered {
		return ""
	}
	left, right := byOrigin(a), byOrigin(b)
	for origin, rows := range left {
		if !slices.Equal(rows, right[origin]) {
			return "the same rows in another order; " + firstDifference(rows, right[origin])
		}
	}
	return ""
}

func values(rows []row) []uint64 {
	out := make([]uint64, len(rows))
	for i, r := range rows {
		out[i] = r.value
	}
	return out
}

func firstDifference(a, b []row) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("the first difference is at row %d (counted from 0)", i)
		}
	}
	return fmt.Sprintf("the first %d rows are the same", min(len(a), len(b)))
}

// reading says how far a source is read.
type reading struct {
	request strict.ReadRequest
	rows    int64 // stop after so many; 0 is no limit
	enough  func(*recording) bool
}

// read records a source until it ends, or is stopped after enough rows, and closes it in order.
func (s *suite) read(ctx context.Context, p *strict.Process, r reading) (*recording, error) {
	source, err := s.reads(ctx, p, r.request)
	if err != nil {
		return nil, err
	}
	got := newRecording()
	if err := s.drain(got, source, r); err != nil {
		source.Cancel()
		return got, err
	}
	return got, source.Close()
}

// drain takes events until the source says that it is done.
func (s *suite) drain(r *recording, source *strict.Read, until reading) error {
	late := func() bool { return false }
	for {
		event, err := source.Next()
		if errors.Is(err, io.EOF) {
			r.ended = !r.asked
			return nil
		}
		if err != nil && late() {
			return seen("the end within "+s.limit(stopLimit).String()+" of Stop", "it went on")
		}
		if err != nil {
			return err
		}
		if err := r.take(event); err != nil {
			return err
		}
		full := until.rows > 0 && int64(r.total()) >= until.rows || until.enough != nil && until.enough(r)
		if full && !r.asked {
			r.asked = true
			if err := source.Stop(); err != nil {
				return err
			}
			late = after(s.limit(stopLimit), source.Interrupt)
		}
	}
}

// after does something when a time has passed, and tells whether it has.
func after(d time.Duration, do func()) (passed func() bool) {
	end := time.Now().Add(d)
	timer := time.AfterFunc(d, do)
	return func() bool {
		timer.Stop()
		return time.Now().After(end)
	}
}
