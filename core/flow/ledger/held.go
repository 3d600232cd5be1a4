package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Choice is what people decide about a held unit.
type Choice string

// The choices.
const (
	Release Choice = "release" // its rows become visible
	Drop    Choice = "drop"    // its rows are dropped, and counted as such
	Again   Choice = "again"   // its input is read again, with the definition of that day
)

// Decision is a choice on record.
type Decision struct {
	What   Choice    `json:"what"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Place is where a held unit's rows lie.
type Place string

// The places.
const (
	OnBranch Place = "branch" // on a branch of each of its datasets
	InLog    Place = "log"    // in the flow's log, before a sink
)

// HeldUnit is a unit that waits, or has waited, for a decision. Flow, Seq and Opened name it: a unit that was lost and made again is
// another one, for which a decision about the first does not count.
type HeldUnit struct {
	Flow     string        `json:"flow"`
	Seq      int64         `json:"seq"`
	Opened   time.Time     `json:"opened"`
	Since    time.Time     `json:"since"`
	Place    Place         `json:"place"`
	Rows     int64         `json:"rows"`
	Checks   []CheckResult `json:"checks,omitempty"`
	Decision *Decision     `json:"decision,omitempty"` // made, but perhaps not carried out yet
}

// Is says whether this is about a unit.
func (h *HeldUnit) Is(seq int64, opened time.Time) bool {
	return h.Seq == seq && h.Opened.Equal(opened)
}

// ErrNotHeld says that a unit does not wait for a decision.
var ErrNotHeld = errors.New("no unit is held")

// DecidedError says that a held unit has been decided on in another way.
type DecidedError struct {
	Held HeldUnit
}

// Error names the decision.
func (e *DecidedError) Error() string {
	d := e.Held.Decision
	return fmt.Sprintf("unit %d of flow %q: %q was decided by %s at %s, and can't be changed any more",
		e.Held.Seq, e.Held.Flow, d.What, d.By, d.At.Format(time.RFC3339))
}

const heldSchema = `
create table if not exists qanat_held (
	flow text not null, seq bigint not null, opened bigint not null, since bigint not null, place text not null,
	row_count bigint not null, checks text not null, decision text not null default '', ended bigint not null default 0,
	primary key (flow, seq, opened));`

// Hold notes, under the owner's epoch, that the flow pauses before a unit. What is noted about the unit already stays; other units
// of the flow that still waited are gone.
func (l *Ledger) Hold(ctx context.Context, epoch uint64, h HeldUnit) error {
	return l.transact(ctx, func(tx statements) error {
		if err := owned(ctx, tx, h.Flow, epoch); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `update qanat_held set ended = ? where flow = ? and ended = 0 and not (seq = ? and opened = ?)`,
			time.Now().UnixMicro(), h.Flow, h.Seq, h.Opened.UnixNano())
		if err != nil {
			return err
		}
		return hold(ctx, tx, h)
	})
}

func hold(ctx context.Context, tx statements, h HeldUnit) error {
	checks, err := json.Marshal(h.Checks)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `insert into qanat_held (flow, seq, opened, since, place, row_count, checks) values (?, ?, ?, ?, ?, ?, ?)
		on conflict (flow, seq, opened) do nothing`,
		h.Flow, h.Seq, h.Opened.UnixNano(), h.Since.UnixMicro(), string(h.Place), h.Rows, string(checks))
	return err
}

// Unhold notes, under the owner's epoch, that the flow's held unit is gone: it will be made again.
func (l *Ledger) Unhold(ctx context.Context, flow string, epoch uint64) error {
	return l.transact(ctx, func(tx statements) error {
		if err := owned(ctx, tx, flow, epoch); err != nil {
			return err
		}
		return endHeld(ctx, tx, flow)
	})
}

// noteHeld follows an appended unit: it waits for a decision, or the one that the flow has waited for is behind it.
func noteHeld(ctx context.Context, tx statements, u Unit) error {
	if err := endHeld(ctx, tx, u.Flow); err != nil || u.Verdict != Held {
		return err
	}
	h := HeldUnit{Flow: u.Flow, Seq: u.Seq, Opened: u.Opened, Since: u.Committed, Place: OnBranch, Checks: u.Checks}
	if n := len(u.Stages); n > 0 {
		h.Rows = u.Stages[n-1].Out
	}
	return hold(ctx, tx, h)
}

func endHeld(ctx context.Context, tx statements, flow string) error {
	_, err := tx.exec(ctx, `update qanat_held set ended = ? where flow = ? and ended = 0`, time.Now().UnixMicro(), flow)
	return err
}

// Held returns the unit that a flow waits for; false if it waits for none.
func (l *Ledger) Held(ctx context.Context, flow string) (HeldUnit, bool, error) {
	all, err := l.held(ctx, l.db, `where flow = ? and ended = 0 order by seq desc`, flow)
	if err != nil || len(all) == 0 {
		return HeldUnit{}, false, err
	}
	return all[0], true, nil
}

// HeldBefore returns the last unit of a flow that was decided on; false if there never was one.
func (l *Ledger) HeldBefore(ctx context.Context, flow string) (HeldUnit, bool, error) {
	all, err := l.held(ctx, l.db, `where flow = ? and ended > 0 and decision <> '' order by ended desc limit 1`, flow)
	if err != nil || len(all) == 0 {
		return HeldUnit{}, false, err
	}
	return all[0], true, nil
}

func (l *Ledger) held(ctx context.Context, q statements, clause string, args ...any) ([]HeldUnit, error) {
	rows, err := q.query(ctx, `select flow, seq, opened, since, place, row_count, checks, decision from qanat_held `+clause, args...)
	if err != nil {
		return nil, fmt.Errorf("read the held units: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []HeldUnit
	for rows.Next() {
		var h HeldUnit
		var opened, since int64
		var place, checks, decision string
		if err := rows.Scan(&h.Flow, &h.Seq, &opened, &since, &place, &h.Rows, &checks, &decision); err != nil {
			return nil, err
		}
		h.Opened, h.Since, h.Place = time.Unix(0, opened), time.UnixMicro(since), Place(place)
		if decision == "" {
			decision = "null"
		}
		if err := errors.Join(json.Unmarshal([]byte(checks), &h.Checks), json.Unmarshal([]byte(decision), &h.Decision)); err != nil {
			return nil, fmt.Errorf("held unit %d of flow %q is damaged: %w", h.Seq, h.Flow, err)
		}
		all = append(all, h)
	}
	return all, rows.Err()
}

// Decide puts a decision about a held unit on record; the flow's next session carries it out. Deciding the same again changes
// nothing, another decision fails with a *DecidedError, and a unit that does not wait any more gives ErrNotHeld.
func (l *Ledger) Decide(ctx context.Context, h HeldUnit, d Decision) (HeldUnit, error) {
	doc, err := json.Marshal(d)
	if err != nil {
		return h, err
	}
	err = l.transact(ctx, func(tx statements) error {
		_, err := tx.exec(ctx, `update qanat_held set decision = ? where flow = ? and seq = ? and opened = ? and ended = 0 and decision = ''`,
			string(doc), h.Flow, h.Seq, h.Opened.UnixNano())
		if err != nil {
			return err
		}
		now, err := l.held(ctx, tx, `where flow = ? and seq = ? and opened = ? and ended = 0`, h.Flow, h.Seq, h.Opened.UnixNano())
		switch {
		case err != nil:
			return err
		case len(now) == 0:
			return fmt.Errorf("unit %d of flow %q: %w", h.Seq, h.Flow, ErrNotHeld)
		case now[0].Decision.What != d.What:
			return &DecidedError{Held: now[0]}
		}
		h = now[0]
		return nil
	})
	return h, err
}

// Resolve gives a unit with verdict held its final one, in one transaction: readers see the unit's datasets move on together, the
// totals follow, and the unit does not wait any more. A void unit counts for nothing. Repeating it changes nothing.
func (l *Ledger) Resolve(ctx context.Context, epoch uint64, u Unit) error {
	return l.transact(ctx, func(tx statements) error {
		if err := owned(ctx, tx, u.Flow, epoch); err != nil {
			return err
		}
		var verdict, doc string
		err := tx.row(ctx, `select verdict, unit from qanat_ledger where flow = ? and seq = ?`+tx.forUpdate(), u.Flow, u.Seq).Scan(&verdict, &doc)
		if err != nil {
			return err
		}
		if Verdict(verdict) == u.Verdict {
			return nil
		}
		if Verdict(verdict) != Held {
			return fmt.Errorf("unit %d of flow %q is %s: %w", u.Seq, u.Flow, verdict, ErrNotHeld)
		}
		return resolve(ctx, tx, u, doc)
	})
}

func resolve(ctx context.Context, tx statements, u Unit, doc string) error {
	var before Unit
	if err := json.Unmarshal([]byte(doc), &before); err != nil {
		return fmt.Errorf("unit %d of flow %q in the ledger is damaged: %w", u.Seq, u.Flow, err)
	}
	now, err := json.Marshal(u)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `update qanat_ledger set verdict = ?, unit = ?, position = ?, log_end = ? where flow = ? and seq = ?`,
		string(u.Verdict), string(now), []byte(u.Position), u.LogEnd, u.Flow, u.Seq)
	if err != nil {
		return err
	}
	if err := takeTotals(ctx, tx, before); err != nil {
		return err
	}
	return errors.Join(showDatasets(ctx, tx, u), addTotals(ctx, tx, u), unredrive(ctx, tx, u), endHeld(ctx, tx, u.Flow))
}
