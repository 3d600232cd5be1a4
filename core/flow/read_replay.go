package flow

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// ReplaySettings make a flow a shadow: it reads what units of another flow read, unit by unit.
type ReplaySettings struct {
	Of    string
	Units ledger.Span
}

// replayReader reads what past units of a flow read, and gives a checkpoint behind each, so that each can become one unit again.
type replayReader struct {
	*datasetReader
	replay ReplaySettings
	done   replayPosition
}

// replayPosition is the position of a replay reader, and of each unit of a shadow: the last unit of the other flow that was read.
type replayPosition struct {
	Unit int64 `json:"replayed_unit"`
}

func newReplayReader(s *Settings, r *Runtime, at sdk.Position) (*replayReader, error) {
	datasets, err := newDatasetReader(s, r, nil)
	if err != nil {
		return nil, err
	}
	reader := &replayReader{datasetReader: datasets, replay: *s.Replay, done: replayPosition{Unit: s.Replay.Units.First - 1}}
	if len(at) > 0 {
		if err := json.Unmarshal(at, &reader.done); err != nil {
			return nil, sdk.Fatal(fmt.Errorf("the position in the ledger is not a replay's: %w", err))
		}
	}
	return reader, nil
}

func (d *replayReader) read(ctx context.Context, emit func(event) error) error {
	var units []pastUnit
	err := past(ctx, d.runtime.Ledger, d.replay.Of, d.done.Unit, func(u pastUnit) (bool, error) {
		if u.Seq > d.replay.Units.Last {
			return false, nil
		}
		if u.redone() {
			units = append(units, pastUnit{Unit: ledger.Unit{Seq: u.Seq}, inputs: u.inputs})
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, u := range units {
		if d.stopping() {
			return nil
		}
		if err := d.unit(ctx, u, emit); err != nil {
			return fmt.Errorf("unit %d again: %w", u.Seq, err)
		}
	}
	return d.checkpoint(d.replay.Units.Last, emit)
}

// unit reads what a unit read, as it is now.
func (d *replayReader) unit(ctx context.Context, u pastUnit, emit func(event) error) error {
	views, err := d.views(ctx)
	if err != nil {
		return err
	}
	for i, view := range views {
		units, err := unitsOf(u.inputs, view)
		if err != nil {
			return err
		}
		if len(units) == 0 {
			continue
		}
		opened, err := d.open(ctx, d.settings.Names[i], view, units)
		if err != nil {
			return err
		}
		if len(opened) == 0 {
			return sdk.Fatal(fmt.Errorf("dataset %q, which it read, is gone", view.Dataset))
		}
		for _, r := range opened {
			if err := d.announce(r, emit); err != nil {
				return err
			}
			if err := d.scan(r, emit); err != nil {
				return err
			}
		}
	}
	return d.checkpoint(u.Seq, emit)
}

// unitsOf are the inputs in one dataset. All of them must be there: less than what was read before would be lost without a word.
func unitsOf(inputs []ledger.Input, view ledger.View) ([]zone.UnitRange, error) {
	var units []zone.UnitRange
	for _, in := range inputs {
		if in.Dataset != view.Dataset {
			continue
		}
		if view.Seqs[in.Flow] < in.Last {
			return nil, sdk.Fatal(fmt.Errorf("it read units up to %d of flow %q from dataset %q, which now ends with unit %d",
				in.Last, in.Flow, in.Dataset, view.Seqs[in.Flow]))
		}
		units = append(units, zone.UnitRange{Flow: in.Flow, After: in.First - 1, Upto: in.Last})
	}
	return units, nil
}

func (d *replayReader) checkpoint(unit int64, emit func(event) error) error {
	d.done.Unit = unit
	pos, err := json.Marshal(d.done)
	if err != nil {
		return err
	}
	return emit(event{checkpoint: pos})
}
