package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/sdk"
)

// item is what travels between the stages of a flow's producing half, in order: exactly one field is set.
type item struct {
	schema  *sdk.SchemaChange
	batch   *sdk.Batch // owned by whoever holds the item
	rejects []quarantine.Rejected
	redrive *redrive
	closing *closing
}

// closing ends a unit. It passes all stages behind the unit's last row and gathers their accounts.
type closing struct {
	Position sdk.Position         `json:"position"`
	Opened   time.Time            `json:"opened"`
	Stages   []ledger.Stage       `json:"stages"`
	Checks   []ledger.CheckResult `json:"checks,omitempty"`
	Decision decision             `json:"decision"`
	Redriven *redriven            `json:"redriven,omitempty"` // of a unit that is made of quarantined rows
}

// decision is what the checks let the committer do with a unit.
type decision string

const (
	promote  decision = "promote"
	setAside decision = "quarantine"
	hold     decision = "hold"
	drop     decision = "drop" // what people made of a unit that was to be held
)

// stricter returns the more severe of two decisions.
func (d decision) stricter(other decision) decision {
	rank := map[decision]int{promote: 0, setAside: 1, hold: 2}
	if rank[other] > rank[d] {
		return other
	}
	return d
}

func (i item) empty() bool {
	return i.schema == nil && i.batch == nil && len(i.rejects) == 0 && i.redrive == nil && i.closing == nil
}

func (i item) release() {
	if i.batch != nil {
		i.batch.Record.Release()
	}
}

// send passes an item on, or releases it when the flow ends.
func send(ctx context.Context, out chan<- item, i item) error {
	select {
	case out <- i:
		return nil
	case <-ctx.Done():
		i.release()
		return context.Cause(ctx)
	}
}

// next takes an item; false when there are no more, or the flow ends.
func next(ctx context.Context, in <-chan item) (item, bool) {
	select {
	case i, more := <-in:
		return i, more
	case <-ctx.Done():
		return item{}, false
	}
}

// drain releases what is left in a channel until its sender closes it.
func drain(in <-chan item) {
	for i := range in {
		i.release()
	}
}

// account holds a stage to its arithmetic.
func account(s ledger.Stage) error {
	if s.Maps && s.In != s.Out+s.Rejected+s.Filtered+s.Dropped {
		return fmt.Errorf("stage %q: %d rows in, but %d out, %d rejected, %d filtered and %d dropped",
			s.Name, s.In, s.Out, s.Rejected, s.Filtered, s.Dropped)
	}
	return nil
}

// accounts checks every stage and that each took in what the one before gave out.
func accounts(stages []ledger.Stage) error {
	for i, s := range stages {
		if err := account(s); err != nil {
			return err
		}
		if i > 0 && stages[i-1].Out != s.In {
			return fmt.Errorf("stage %q took in %d rows, but stage %q gave out %d", s.Name, s.In, stages[i-1].Name, stages[i-1].Out)
		}
	}
	return nil
}
