package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/specs/contract"
)

// check judges streams by a contract and by rules of the settings. Not safe for concurrent use.
type check struct {
	config   Config
	env      sdk.Env
	contract *contract.Contract // nil without one
	streams  map[string]*stream
	mostKeys int
}

// New reads the contract.
func New(_ context.Context, c Config, env sdk.Env) (*check, error) {
	k := &check{config: c, env: env, streams: map[string]*stream{}, mostKeys: mostKeys}
	if c.Contract == "" {
		return k, nil
	}
	var err error
	if k.contract, err = contract.Load(c.Contract); err != nil {
		return nil, sdk.ConfigError("/contract", "%w", err)
	}
	return k, nil
}

// Plan implements sdk.Check.
func (k *check) Plan(_ context.Context, in sdk.SchemaChange) error {
	s, known := k.streams[in.Stream]
	if !known {
		var err error
		if s, err = k.demands(in.Stream); err != nil {
			return err
		}
	}
	if err := s.adapt(in.Schema, in.Key, k.config.ExtraColumns); err != nil {
		return err
	}
	k.streams[in.Stream] = s
	for _, note := range s.remarks(k.config.ExtraColumns) {
		k.env.Log.Warn("schema check", "stream", in.Stream, "note", note)
	}
	return nil
}

// demands gathers what the contract and the settings ask of a stream.
func (k *check) demands(name string) (*stream, error) {
	var demands []demand
	s := &stream{name: name}
	if k.contract != nil {
		object, err := k.object(name)
		if err != nil {
			return nil, err
		}
		rules, unsupported := object.Rules()
		for _, r := range rules {
			demands = append(demands, demand{Rule: r})
		}
		for _, u := range unsupported {
			s.unsupported = append(s.unsupported, fmt.Sprintf("%s isn't checked (%s): %s", u.What, u.Place, u.Reason))
		}
	}
	for i, r := range k.config.Rules {
		more, err := r.demands(fmt.Sprintf("/rules/%d", i))
		if err != nil {
			return nil, err
		}
		demands = append(demands, more...)
	}
	return s, k.adopt(s, demands)
}

// adopt gives each demand a name of its own and a place to count.
func (k *check) adopt(s *stream, demands []demand) error {
	times := map[string]int{}
	for _, d := range demands {
		d.ID = metricName(d.ID)
		r := &rule{demand: d, each: d.Kind != contract.KindRowCount && d.Limit.EachRow()}
		if times[d.ID]++; times[d.ID] > 1 {
			r.ID = fmt.Sprintf("%s#%d", d.ID, times[d.ID])
		}
		if d.Kind == contract.KindUnique {
			var err error
			if r.seen, err = newKeySet(k.env.Scratch, k.mostKeys); err != nil {
				return err
			}
			if r.claims.given, err = newKeySet(k.env.Scratch, k.mostKeys); err != nil {
				return err
			}
		}
		s.rules = append(s.rules, r)
	}
	return nil
}

// object finds what the contract says of a stream: by the setting, by the last part of the stream's name, or because there is only
// one object.
func (k *check) object(stream string) (*contract.Object, error) {
	name := k.config.Object
	if name == "" {
		name = stream[strings.LastIndexByte(stream, '.')+1:]
	}
	object, err := k.contract.Object(name)
	if err != nil && k.config.Object == "" {
		if only, onlyErr := k.contract.Object(""); onlyErr == nil {
			return only, nil
		}
	}
	if err != nil {
		return nil, sdk.ConfigError("/object", "%s: %w", k.config.Contract, err)
	}
	return object, nil
}

// Rows implements sdk.Check.
func (k *check) Rows(ctx context.Context, b sdk.Batch) ([]sdk.Finding, error) {
	defer b.Record.Release()
	s, ok := k.streams[b.Stream]
	if !ok {
		return nil, sdk.Fatal(fmt.Errorf("a batch of stream %q, which was not planned", b.Stream))
	}
	if given := b.Record.Schema(); given != s.schema && !given.Equal(s.schema) {
		return nil, sdk.Fatal(fmt.Errorf("stream %q: a batch of other columns than planned: %v", b.Stream, given))
	}
	j := &judgement{stream: s, record: b.Record}
	for i := range s.tests {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := j.apply(&s.tests[i]); err != nil {
			return nil, sdk.Fatal(err)
		}
	}
	gone := s.changes.removals(b.Record)
	s.rows, s.removals = s.rows+b.Record.NumRows()-gone, s.removals+gone
	slices.SortStableFunc(j.findings, func(a, b sdk.Finding) int { return a.Row - b.Row })
	return j.findings, nil
}

// Close implements sdk.Check.
func (k *check) Close(context.Context) error {
	var faults []error
	for _, s := range k.streams {
		for _, r := range s.rules {
			if r.seen != nil {
				faults = append(faults, r.seen.close(), r.claims.given.close())
			}
		}
	}
	return errors.Join(faults...)
}

// judgement is the work on one batch.
type judgement struct {
	*stream
	record   arrow.RecordBatch
	findings []sdk.Finding
	broken   []bool // by row, of the rule at hand; made at its first fault
	buffer   []byte
}

func (j *judgement) apply(t *test) error {
	if len(j.broken) > 0 {
		clear(j.broken)
	}
	switch {
	case t.Kind == contract.KindUnique && j.changes != nil:
		return j.claimed(t)
	case t.Kind == contract.KindUnique:
		return j.repeated(t)
	}
	f := t.columns[0].leaf(j.record)
	t.find(f.values, func(i int) {
		if row := f.row(i); row != noRow && j.breaks(t, row) {
			j.find(t, row, func() string { return show(f.values, i) + ", expected " + t.expected })
		}
	})
	return nil
}

// breaks says whether a row breaks the rule for the first time, counting it.
func (j *judgement) breaks(t *test, row int) bool {
	if j.broken == nil {
		j.broken = make([]bool, j.record.NumRows())
	}
	if j.broken[row] || j.changes.removed(j.record, row) || j.changes.kept(j.record, row, t.columns[0].top) {
		return false
	}
	j.broken[row] = true
	t.violations++
	return true
}

func (j *judgement) find(t *test, row int, reason func() string) {
	if !t.each {
		return
	}
	names := make([]string, len(t.Columns))
	for i, column := range t.Columns {
		names[i] = column.Name()
	}
	j.findings = append(j.findings, sdk.Finding{
		Row: row, Column: strings.Join(names, ","), Code: string(t.Kind), Reason: reason(), Warning: t.Severity != contract.SeverityError,
	})
}

// repeated finds rows whose key an earlier row of the unit has. Rows with a null in the key are passed over, as in SQL.
func (j *judgement) repeated(t *test) error {
	values := readValues(t.columns, j.record)
	for row := range int(j.record.NumRows()) {
		key, whole := values.append(j.buffer[:0], row)
		if j.buffer = key; !whole {
			continue
		}
		fresh, err := t.seen.add(j.buffer)
		if err != nil {
			return err
		}
		if !fresh && j.breaks(t, row) {
			j.find(t, row, func() string { return repeatedText(values.leaves, row) })
		}
	}
	return nil
}

func repeatedText(leaves []leaf, row int) string {
	values := make([]string, len(leaves))
	for i, f := range leaves {
		values[i] = show(f.values, row)
	}
	return strings.Join(values, ", ") + " came before, expected it once in a unit"
}
