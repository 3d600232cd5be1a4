package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/sdk"
)

// divert sends every row of the unit to quarantine.
func (c *committer) divert(ctx context.Context, u *unit, logEnd uint64) error {
	reason := "a check failed the unit"
	for _, check := range u.Checks {
		if check.Action == string(OnFailQuarantine) {
			reason = fmt.Sprintf("check %q failed the unit: %s", check.Check, check.Message)
		}
	}
	each := func(b sdk.Batch) error {
		defer b.Record.Release()
		rows := wholeBatch(b, checkID, "unit_failed", reason)
		c.refused += int64(len(rows))
		return c.rejects.write(ctx, u.Seq, rows)
	}
	err := c.target.divert(ctx, each)
	if errors.Is(err, errReadAgain) {
		c.rejects.abort(ctx)
		c.refused = 0
		return c.divertFromLog(ctx, u, logEnd, each)
	}
	return err
}

// errReadAgain says that a target can't give back what it has staged.
var errReadAgain = errors.New("what is staged can't be read back")

// divertFromLog reads the unit a second time.
func (c *committer) divertFromLog(ctx context.Context, u *unit, logEnd uint64, each func(sdk.Batch) error) error {
	r, err := c.log.Read(ctx, u.First)
	if err != nil {
		return err
	}
	defer r.Close()
	frames := newFrames(c.runtime)
	defer frames.close()
	for {
		m, err := r.Next(ctx)
		if _, gone := errors.AsType[*broker.GapError](err); gone {
			return sdk.Fatal(fmt.Errorf("unit %d is to be quarantined as a whole, but it is larger than the log, "+
				"and the sink can't give it back: use a smaller commit or a larger log", u.Seq))
		}
		if err != nil || m.Last >= logEnd {
			return err
		}
		if err := c.divertFrame(ctx, frames, m, u.Seq, each); err != nil {
			return err
		}
	}
}

func (c *committer) divertFrame(ctx context.Context, frames *frames, m broker.Message, seq int64, each func(sdk.Batch) error) error {
	switch m.Header[keyKind] {
	case frameSchema:
		_, err := frames.schema(m)
		return err
	case frameBatch:
		b, err := frames.batch(m)
		if err != nil {
			return err
		}
		return each(b)
	case frameQuarantine:
		var rows []quarantine.Rejected
		if err := json.Unmarshal(m.Body, &rows); err != nil {
			return err
		}
		return c.rejects.write(ctx, seq, rows)
	}
	return nil
}
