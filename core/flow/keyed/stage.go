package keyed

import (
	"context"
	"errors"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow/merge"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone"
)

// staged are the files of a sealed unit.
type staged struct {
	rows, keys, changes zone.Files
	truncate            bool
}

// Refuse takes rows that can't be kept. Each rejection says which of the rows it is about; the rows are released when it returns.
type Refuse func(rows arrow.RecordBatch, why []merge.Rejection) error

// Seal stages what the open unit comes to, and refuses rows of which that can't be known.
func (s *Stream) Seal(ctx context.Context, refuse Refuse) error {
	m := s.merge
	if m == nil || s.staged != nil {
		return nil
	}
	s.merge = nil
	st, err := s.stages(ctx)
	if err != nil {
		return errors.Join(err, m.Close())
	}
	if s.settings.Form.History {
		err = s.sealHistory(ctx, m, st, refuse)
	} else {
		err = fold(ctx, m, st.net, refuse)
	}
	if err == nil {
		s.staged, err = st.finish(ctx)
	}
	if err := errors.Join(err, m.Close()); err != nil {
		st.abort(ctx)
		return err
	}
	return nil
}

func (s *Stream) sealHistory(ctx context.Context, m *merge.Merge, st *stages, refuse Refuse) error {
	h := &history{stages: st, dataset: s.dataset, key: s.settings.Form.Key, anew: s.settings.Anew, number: firstNumber(s.seq)}
	defer h.dropPending()
	s.until = m.Until()
	if err := fold(ctx, m, h.part, refuse); err != nil {
		return err
	}
	return h.finish(ctx)
}

// fold stages part by part.
func fold(ctx context.Context, m *merge.Merge, stage func(context.Context, *merge.Part) error, refuse Refuse) error {
	for part, err := range m.Parts(ctx) {
		if err != nil {
			return err
		}
		if err := stage(ctx, part); err != nil {
			return err
		}
		if len(part.Rejected) == 0 {
			continue
		}
		for i := range part.Rejected {
			part.Rejected[i].Row = i // in RejectedRows
		}
		if err := refuse(part.RejectedRows, part.Rejected); err != nil {
			return err
		}
	}
	return nil
}

// stages are the three that take what a unit comes to.
type stages struct {
	rows    *zone.Stage
	keys    *zone.KeyStage
	changes *zone.Stage
	alloc   memory.Allocator
	empties bool // the unit takes the place of all there was
}

func (s *Stream) stages(ctx context.Context) (*stages, error) {
	st := &stages{alloc: s.settings.Alloc}
	o := zone.StageOptions{Flow: s.settings.Flow, Seq: s.seq, IngestedAt: time.Now()}
	var err error
	if st.rows, err = s.dataset.Stage(ctx, o); err != nil {
		return nil, err
	}
	if st.keys, err = s.dataset.StageKeys(ctx, o); err == nil {
		o.Ordered = true
		st.changes, err = s.changes.Stage(ctx, o)
	}
	if err != nil {
		st.abort(ctx)
		return nil, err
	}
	return st, nil
}

// net stages a part of the net effect: rows take the place of those of the same key.
func (st *stages) net(ctx context.Context, part *merge.Part) error {
	st.empties = st.empties || part.Truncate
	if part.Upserts != nil {
		if err := st.rows.Write(ctx, part.Upserts, ""); err != nil {
			return err
		}
	}
	if part.Keys != nil && !st.empties {
		if err := st.keys.Write(ctx, part.Keys); err != nil {
			return err
		}
	}
	if part.Changes == nil {
		return nil
	}
	return st.note(ctx, part.Changes)
}

// note stages net changes, which stay the caller's.
func (st *stages) note(ctx context.Context, changes arrow.RecordBatch) error {
	stored, err := zone.Storable(changes.Schema())
	if err != nil {
		return err
	}
	kept, err := stored.Apply(ctx, st.alloc, changes)
	if err != nil {
		return err
	}
	defer kept.Release()
	return st.changes.Write(ctx, kept, "")
}

func (st *stages) finish(ctx context.Context) (*staged, error) {
	out := &staged{truncate: st.empties}
	killpoint.Here("before-upload")
	var err error
	if out.rows, err = st.rows.Finish(ctx); err != nil {
		return nil, err
	}
	if out.keys, err = st.keys.Finish(ctx); err != nil {
		return nil, err
	}
	out.changes, err = st.changes.Finish(ctx)
	killpoint.Here("after-upload")
	return out, err
}

func (st *stages) abort(ctx context.Context) {
	if st.rows != nil {
		_ = st.rows.Abort(ctx)
	}
	if st.keys != nil {
		_ = st.keys.Abort(ctx)
	}
	if st.changes != nil {
		_ = st.changes.Abort(ctx)
	}
}
