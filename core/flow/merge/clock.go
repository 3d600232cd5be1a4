package merge

import (
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// clock gives changes the times at which versions begin and end. It never goes back, so that a row's versions do not overlap.
type clock struct {
	at    int64 // for changes that have no time
	now   int64 // of the last change that has one
	known bool
}

func newClock(since, at time.Time) clock {
	return clock{at: at.UnixMicro(), now: since.UnixMicro(), known: !since.IsZero()}
}

func (c *clock) until() time.Time {
	if !c.known {
		return time.Time{}
	}
	return time.UnixMicro(c.now).UTC()
}

// set replaces a batch's times.
func (c *clock) set(alloc memory.Allocator, s *source) {
	times, changes := newView(s.arrays[metaTs]), s.arrays[metaOp] != nil
	b := array.NewTimestampBuilder(alloc, metaFields[metaTs].Type.(*arrow.TimestampType))
	defer b.Release()
	b.Reserve(s.rows)
	for row := range s.rows {
		switch {
		case !times.isNull(row):
			b.UnsafeAppend(c.turn(times.int64(row)))
		case !changes:
			b.UnsafeAppend(c.turn(c.at))
		case c.known:
			b.UnsafeAppend(arrow.Timestamp(c.now))
		default: // nobody knows, and changes that follow may be earlier
			b.UnsafeAppend(arrow.Timestamp(c.at))
		}
	}
	if s.arrays[metaTs] != nil {
		s.arrays[metaTs].Release()
	}
	s.arrays[metaTs] = b.NewArray()
}

// turn moves on to a time, unless that is back.
func (c *clock) turn(to int64) arrow.Timestamp {
	if !c.known || to > c.now {
		c.now, c.known = to, true
	}
	return arrow.Timestamp(c.now)
}

// began lets versions that ended before they were taken to begin have begun when they ended. The columns are the begin and the end.
func began(alloc memory.Allocator, columns []arrow.Array) {
	from, to := columns[0].(*array.Timestamp), columns[1].(*array.Timestamp)
	late := false
	for row := range from.Len() {
		late = late || to.IsValid(row) && to.Value(row) < from.Value(row)
	}
	if !late {
		return
	}
	b := array.NewTimestampBuilder(alloc, from.DataType().(*arrow.TimestampType))
	defer b.Release()
	b.Reserve(from.Len())
	for row := range from.Len() {
		if to.IsValid(row) {
			b.UnsafeAppend(min(from.Value(row), to.Value(row)))
		} else {
			b.UnsafeAppend(from.Value(row))
		}
	}
	from.Release()
	columns[0] = b.NewArray()
}
