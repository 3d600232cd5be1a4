package keyed

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk/change"
)

// readSince finds out how far time has come in a dataset that keeps versions: to the latest time among the net changes of its last unit,
// as units do not go back behind those before. Units that have noted nothing, or nothing with a time, are rare: then all is read.
func (s *Stream) readSince(ctx context.Context) error {
	if s.timed || s.settings.Anew || !s.settings.Form.History {
		return nil
	}
	changes, err := s.changes.Reload(ctx)
	if err != nil {
		return err
	}
	if mark, ok := changes.Mark(s.settings.Flow); ok && mark.Seq > 0 {
		last := zone.UnitRange{Flow: s.settings.Flow, After: mark.Seq - 1, Upto: mark.Seq}
		if s.since, err = latest(ctx, changes, zone.ScanRequest{Units: []zone.UnitRange{last}}); err != nil {
			return err
		}
	}
	if s.since.IsZero() {
		s.since, err = latest(ctx, changes, zone.ScanRequest{})
	}
	s.timed = err == nil
	return err
}

func latest(ctx context.Context, changes *zone.Dataset, r zone.ScanRequest) (time.Time, error) {
	r.Columns = []string{change.ColumnTs}
	var found time.Time
	_, batches, err := changes.Scan(ctx, r)
	if err != nil {
		return found, err
	}
	for b, err := range batches {
		if err != nil {
			return found, err
		}
		times, ok := b.Column(0).(*array.Timestamp)
		for row := 0; ok && row < times.Len(); row++ {
			if at := time.UnixMicro(int64(times.Value(row))); times.IsValid(row) && at.After(found) {
				found = at
			}
		}
		b.Release()
	}
	return found, nil
}
