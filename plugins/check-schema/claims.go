package main

import (
	"bytes"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk/change"
)

// claims are the values of a unique rule in a unit of change data. Inserted rows and rows of a snapshot claim theirs; what was claimed
// twice is found, unless the value was given up in between, or at any time of the unit: then who has it is not asked.
type claims struct {
	given *keySet // values that a row gave up: it was deleted, or has others now
	blind bool    // a row gave up values that nobody knows, so nothing more can be said of the unit
}

// former leads to the columns of a rule in the row that was there before, nil where there is none.
func (s *stream) former(r *rule) []*locator {
	if s.changes.at.Before < 0 {
		return nil
	}
	found := make([]*locator, len(r.Columns))
	for i, column := range r.Columns {
		under := column
		under.Path = append([]string{change.ColumnBefore}, column.Path...)
		under.Names = append([]string{change.ColumnBefore}, column.Names...)
		var err error
		if found[i], err = locate(s.schema, under); err != nil {
			return nil
		}
	}
	return found
}

// ofKey says whether all columns of a rule are in the key, so that a row tells them in any case.
func (s *stream) ofKey(t *test) bool {
	return !slices.ContainsFunc(t.columns, func(l *locator) bool {
		return len(l.steps) > 0 || !slices.Contains(s.changes.key, s.schema.Field(l.top).Name)
	})
}

// values reads the columns of a unique rule.
type values struct {
	leaves   []leaf
	encoders []encode
}

func readValues(columns []*locator, record arrow.RecordBatch) *values {
	v := &values{leaves: make([]leaf, len(columns)), encoders: make([]encode, len(columns))}
	for i, column := range columns {
		v.leaves[i] = column.leaf(record)
		v.encoders[i] = encoder(v.leaves[i].values)
	}
	return v
}

// append encodes the values of a row; false if one is null.
func (v *values) append(buffer []byte, row int) ([]byte, bool) {
	for i, f := range v.leaves {
		if f.row(row) == noRow || f.values.IsNull(row) {
			return buffer, false
		}
		buffer = v.encoders[i](buffer, row)
	}
	return buffer, true
}

// claimed finds rows of change data whose values another row has claimed before.
func (j *judgement) claimed(t *test) error {
	now := readValues(t.columns, j.record)
	var old *values
	if t.before != nil {
		old = readValues(t.before, j.record)
	}
	for row := range int(j.record.NumRows()) {
		var err error
		switch j.changes.op(j.record, row) {
		case change.Snapshot, change.Insert:
			err = j.claim(t, now, row)
		case change.Update, change.Delete:
			err = j.give(t, now, old, row)
		case change.Truncate:
			t.claims.blind = false
			err = errors.Join(t.seen.reset(), t.claims.given.reset())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *judgement) claim(t *test, now *values, row int) error {
	value, whole := now.append(j.buffer[:0], row)
	j.buffer = value
	if !whole || t.claims.blind {
		return nil
	}
	fresh, err := t.seen.add(value)
	if fresh || err != nil {
		return err
	}
	free, err := t.claims.given.has(value)
	if err == nil && !free && j.breaks(t, row) {
		j.find(t, row, func() string { return repeatedText(now.leaves, row) })
	}
	return err
}

// give notes the values that a row no longer has.
func (j *judgement) give(t *test, now, old *values, row int) error {
	update := j.changes.op(j.record, row) == change.Update
	if update && j.keptAll(t, row) {
		return nil
	}
	value, whole := now.append(j.buffer[:0], row)
	j.buffer = value
	if old != nil {
		former, known := old.append(nil, row)
		if known && update && whole && bytes.Equal(former, value) {
			return nil
		}
		if known {
			_, err := t.claims.given.add(former)
			return err
		}
	}
	switch {
	case j.ofKey(t) && update: // the key has not changed
	case j.ofKey(t) && whole:
		_, err := t.claims.given.add(value)
		return err
	case j.changes.whole(j.record, row): // it had a null there
	default:
		t.claims.blind = true
	}
	return nil
}

// keptAll says whether no column of the rule was sent, because none has changed.
func (j *judgement) keptAll(t *test, row int) bool {
	return !slices.ContainsFunc(t.columns, func(l *locator) bool { return !j.changes.kept(j.record, row, l.top) })
}
