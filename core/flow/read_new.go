package flow

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// readAhead is how many rows of small units are read between two checkpoints, unless the flow is to commit more often.
const readAhead = 1 << 20

// readNew reads the next units, and reports whether there were any.
func (d *datasetReader) readNew(ctx context.Context, emit func(event) error) (bool, error) {
	views, err := d.views(ctx)
	if err != nil {
		return false, err
	}
	next, err := d.next(ctx, views)
	if err != nil || len(next.upto) == 0 {
		return false, err
	}
	for i, view := range views {
		for flow := range view.Seqs {
			view.Seqs[flow] = min(view.Seqs[flow], next.upto[flow])
		}
		rows, err := d.readUnits(ctx, d.settings.Names[i], view, emit)
		if err != nil {
			return false, err
		}
		if entered := next.rows[view.Dataset]; rows < entered {
			return false, sdk.Retryable(&LostRowsError{Dataset: view.Dataset, Upto: next.upto, Entered: entered, Read: rows}, 0)
		}
	}
	d.advance(next.upto)
	return true, d.checkpoint(emit)
}

// LostRowsError says that a dataset has fewer rows of some units than the ledger.
type LostRowsError struct {
	Dataset       string
	Upto          map[string]int64 // the last of the units, by writing flow
	Entered, Read int64            // rows
}

// Error implements error.
func (e *LostRowsError) Error() string {
	return fmt.Sprintf("dataset %q: the next units, up to %v, have %d rows by the ledger, but only %d are there; was the table changed by others?",
		e.Dataset, e.Upto, e.Entered, e.Read)
}

// readUnits emits what is new of a dataset in a view, and returns how many rows that was.
func (d *datasetReader) readUnits(ctx context.Context, name zone.Name, view ledger.View, emit func(event) error) (rows int64, err error) {
	units := ranges(view, d.at.Datasets[view.Dataset])
	if len(units) == 0 {
		return 0, nil
	}
	opened, err := d.open(ctx, name, view, units)
	if err != nil {
		return 0, err
	}
	counting := func(e event) error {
		if e.batch != nil {
			rows += e.batch.Record.NumRows()
		}
		return emit(e)
	}
	for _, r := range opened {
		if err := d.announce(r, emit); err != nil {
			return rows, err
		}
		if err := d.scan(r, counting); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// advance moves the position of every input up. An input that was added later than others has its own way to go.
func (d *datasetReader) advance(upto map[string]int64) {
	for _, name := range d.settings.Names {
		read := d.at.Datasets[name.String()]
		if read == nil {
			read = map[string]int64{}
			d.at.Datasets[name.String()] = read
		}
		for flow, seq := range upto {
			read[flow] = max(read[flow], seq)
		}
	}
}

// reach is how far to read next.
type reach struct {
	upto map[string]int64 // by writing flow
	// rows are those that the ledger has for the units, by dataset. The net changes of a unit that a crash left committed, but not in the
	// ledger, are not counted there.
	rows map[string]int64
}

// next says up to which unit of each writing flow to read: whole units, and small ones several at a time.
func (d *datasetReader) next(ctx context.Context, views []ledger.View) (reach, error) {
	to := reach{upto: map[string]int64{}, rows: map[string]int64{}}
	var rows int64
	for _, flow := range writersOf(views) {
		after, last := int64(math.MaxInt64), int64(0)
		for _, view := range views {
			if view.Overwrite {
				return reach{}, sdk.Fatal(fmt.Errorf("dataset %q is overwritten as a whole, so what is new in it can't be told; "+
					"a flow from it must itself write with mode overwrite", view.Dataset))
			}
			if seq, writes := view.Seqs[flow]; writes {
				after, last = min(after, d.at.Datasets[view.Dataset][flow]), max(last, seq)
			}
		}
		const page = 256
		units, err := d.runtime.Ledger.Units(ctx, flow, after, page)
		if err != nil {
			return reach{}, err
		}
		for _, u := range units {
			if u.Seq > last || rows >= d.ahead {
				break
			}
			for _, view := range views {
				written := u.Datasets[view.Dataset].Rows
				rows += written
				if u.Seq > d.at.Datasets[view.Dataset][flow] {
					to.rows[view.Dataset] += written
				}
			}
			to.upto[flow] = u.Seq
		}
	}
	return to, nil
}

func writersOf(views []ledger.View) []string {
	flows := map[string]bool{}
	for _, view := range views {
		for flow := range view.Seqs {
			flows[flow] = true
		}
	}
	return slices.Sorted(maps.Keys(flows))
}

// ranges are the units of a view behind those that were read before.
func ranges(view ledger.View, read map[string]int64) []zone.UnitRange {
	var units []zone.UnitRange
	for _, flow := range slices.Sorted(maps.Keys(view.Seqs)) {
		if view.Seqs[flow] > read[flow] {
			units = append(units, zone.UnitRange{Flow: flow, After: read[flow], Upto: view.Seqs[flow]})
		}
	}
	return units
}
