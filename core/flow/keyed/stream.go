package keyed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow/merge"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// mergeBudget is what the changes of one stream of the open unit may take in memory before they go to files.
const mergeBudget = 64 << 20

// Settings of a stream.
type Settings struct {
	Flow    string
	Form    Form
	Dataset *zone.Dataset // with the key of the form
	Changes *zone.Dataset // gets the net changes of every unit, for those who read what is new; see ChangesSchema
	Anew    bool          // each unit takes the place of all there was
	Folder  string        // for changes that are too many for memory; must be there by then
	Budget  int64         // of memory for changes, after which they go to files; 0: a fair one
	Alloc   memory.Allocator
	// Now, if given, tells the time of rows that are no changes.
	Now func() time.Time
}

func (s *Settings) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Stream is one whose rows are changes of a dataset with a key. It is for one goroutine. Each unit that has begun ends with Commit or
// Abort.
type Stream struct {
	settings Settings
	dataset  *zone.Dataset
	changes  *zone.Dataset
	holds    bool          // the open unit is in both already
	seq      int64         // of the open unit, 0 before the first
	taken    int64         // rows of the open unit that were given to Write
	table    *arrow.Schema // what a row is made of, in the open unit
	merge    *merge.Merge  // of the open unit; nil before its first row, and after it was sealed
	staged   *staged
	// since is how far time had come before the unit, until how far within it, for history; timed says that since has been read.
	since, until time.Time
	timed        bool
}

// New makes a stream. Nothing is read or written.
func New(s Settings) *Stream { return &Stream{settings: s, dataset: s.Dataset, changes: s.Changes} }

// Datasets are the one of the rows and the one of their changes, as the stream last saw them.
func (s *Stream) Datasets() (rows, changes *zone.Dataset) { return s.dataset, s.changes }

// Seq is the unit that the stream has begun last, 0 for none.
func (s *Stream) Seq() int64 { return s.seq }

// Begin begins a version of the stream in the open unit and readies the datasets for it. Of a unit that both hold already, nothing is
// written again.
func (s *Stream) Begin(ctx context.Context, seq int64, holds bool, schema *arrow.Schema) error {
	if s.seq != seq {
		s.taken = 0
	}
	s.seq, s.holds = seq, holds
	table, _, err := s.settings.Form.Table(schema)
	if err != nil {
		return sdk.Fatal(fmt.Errorf("dataset %q: %w", s.dataset.Name(), err))
	}
	killpoint.Here("before-evolve")
	if s.dataset, _, err = s.dataset.Evolve(ctx, table); err != nil {
		return err
	}
	if s.table = s.dataset.Schema(); s.settings.Form.History {
		s.table = change.Versioned(s.table)
	}
	noted, err := ChangesSchema(s.dataset.Schema())
	if err == nil {
		s.changes, _, err = s.changes.Evolve(ctx, noted)
	}
	if err != nil {
		return err
	}
	killpoint.Here("after-evolve")
	if s.merge != nil {
		return s.merge.Evolve(s.table)
	}
	if s.settings.Anew && !s.holds {
		return s.empty(ctx)
	}
	return nil
}

// empty begins the unit with a truncate.
func (s *Stream) empty(ctx context.Context) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	b := change.NewBuilder(s.settings.Alloc, s.table, nil)
	defer b.Release()
	b.AppendTruncate(change.Change{})
	truncate, err := b.Batch()
	if err != nil {
		return err
	}
	defer truncate.Release()
	_, err = s.merge.Add(ctx, truncate)
	return err
}

// open readies the fold of the open unit.
func (s *Stream) open(ctx context.Context) error {
	if err := s.readSince(ctx); err != nil {
		return err
	}
	settings := merge.Settings{
		Table: s.table, Key: s.settings.Form.Key, Lookup: s.lookUp, At: s.settings.now(), Since: s.since,
		Budget: cmp.Or(s.settings.Budget, mergeBudget), Folder: s.settings.Folder, Alloc: s.settings.Alloc,
	}
	if s.settings.Form.History {
		settings.Mode = merge.History
	}
	m, err := merge.New(settings)
	if err != nil {
		return sdk.Fatal(err)
	}
	s.merge = m
	return nil
}

// Write takes in changes, which stay the caller's, and returns those that can't be told apart.
func (s *Stream) Write(ctx context.Context, rows arrow.RecordBatch) ([]merge.Rejection, error) {
	s.taken += rows.NumRows()
	if s.holds || rows.NumRows() == 0 {
		return nil, nil
	}
	if s.merge == nil {
		if err := s.open(ctx); err != nil {
			return nil, err
		}
	}
	return s.merge.Add(ctx, rows)
}

// Has says whether a unit of so many rows is staged, or in both datasets already, so that Commit makes all it has visible.
func (s *Stream) Has(unit zone.Mark, rows int64) bool {
	there := func(d *zone.Dataset) bool {
		mark, _ := d.Mark(unit.Flow)
		return mark.Seq >= unit.Seq
	}
	return s.staged != nil && s.taken == rows || s.holds || there(s.dataset) && there(s.changes)
}

// Committed is where a unit lies.
type Committed struct {
	Dataset, Changes        zone.Snapshot
	Bytes                   int64 // in the dataset
	ChangeRows, ChangeBytes int64
}

// Commit makes the sealed unit visible: the net changes first, so that who sees the rows finds how they came about. A unit that was not
// sealed is found where it is already.
func (s *Stream) Commit(ctx context.Context, request zone.CommitRequest) (Committed, error) {
	u := s.staged
	if u == nil {
		u = &staged{}
	}
	s.staged = nil
	noted := request
	noted.Mode, noted.Files = zone.Append, u.changes
	killpoint.Here("before-changes")
	seen, err := s.changes.Commit(ctx, noted)
	if err != nil {
		return Committed{}, err
	}
	killpoint.Here("after-changes")
	request.Mode, request.Files, request.Keys, request.Truncate = zone.Upsert, u.rows, u.keys, u.truncate
	made, err := s.dataset.Commit(ctx, request)
	if err == nil && !s.until.IsZero() {
		s.since = s.until
	}
	return Committed{
		Dataset: made, Changes: seen, Bytes: u.rows.Bytes + u.keys.Bytes, ChangeRows: u.changes.Rows, ChangeBytes: u.changes.Bytes,
	}, err
}

// Abort drops what is gathered and staged.
func (s *Stream) Abort(ctx context.Context) error {
	var err error
	s.until = time.Time{}
	if s.merge != nil {
		err = s.merge.Close()
		s.merge = nil
	}
	if u := s.staged; u != nil {
		s.staged = nil
		err = errors.Join(err, s.dataset.Discard(ctx, u.rows), s.dataset.Discard(ctx, u.keys), s.changes.Discard(ctx, u.changes))
	}
	if err != nil {
		return fmt.Errorf("dataset %q: %w", s.dataset.Name(), err)
	}
	return nil
}
