package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Range is a run of quarantined rows: those numbered First to Last of a unit. Rows that a sink refused only when it committed are
// numbered apart.
type Range struct {
	Unit  int64 `json:"unit"`
	Late  bool  `json:"late,omitempty"`
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// Rows in the range.
func (r Range) Rows() int64 { return r.Last - r.First + 1 }

// Outcome is what became of quarantined rows.
type Outcome string

// The outcomes.
const (
	Released   Outcome = "released" // they went through the flow again
	DroppedRow Outcome = "dropped"  // people gave them up
)

// Redriven says which quarantined rows a unit is made of, and who wanted that.
type Redriven struct {
	By     string  `json:"by,omitempty"`
	Reason string  `json:"reason,omitempty"`
	Rows   int64   `json:"rows"`
	Ranges []Range `json:"-"`
}

// RowsDoneError says that quarantined rows were released or dropped before.
type RowsDoneError struct {
	Flow  string
	Range Range
}

// Error names the rows.
func (e *RowsDoneError) Error() string {
	return fmt.Sprintf("quarantined rows %d to %d of unit %d of flow %q were released or dropped before",
		e.Range.First, e.Range.Last, e.Range.Unit, e.Flow)
}

const quarantineSchema = `
create table if not exists qanat_quarantine (
	flow text not null, unit bigint not null, late boolean not null, first_row bigint not null, last_row bigint not null,
	outcome text not null, decided_by text not null, reason text not null, at bigint not null, seq bigint not null,
	primary key (flow, unit, late, first_row));`

// Settled is a run of quarantined rows and what became of it.
type Settled struct {
	Range
	Outcome Outcome   `json:"outcome"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at"`
	Seq     int64     `json:"seq,omitempty"` // the unit that the rows were released in
}

// Settled returns the rows of a flow's quarantine that are not open any more, in order.
func (l *Ledger) Settled(ctx context.Context, flow string) ([]Settled, error) {
	rows, err := l.db.query(ctx, `select unit, late, first_row, last_row, outcome, decided_by, reason, at, seq
		from qanat_quarantine where flow = ? order by unit, late, first_row`, flow)
	if err != nil {
		return nil, fmt.Errorf("read what became of quarantined rows: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Settled
	for rows.Next() {
		var s Settled
		var outcome string
		var at int64
		err := rows.Scan(&s.Unit, &s.Late, &s.First, &s.Last, &outcome, &s.By, &s.Reason, &at, &s.Seq)
		if err != nil {
			return nil, err
		}
		s.Outcome, s.At = Outcome(outcome), time.UnixMicro(at)
		all = append(all, s)
	}
	return all, rows.Err()
}

// SettledRows counts the rows of a flow's quarantine that are not open any more, by what became of them; those that were released
// in a unit after seq only, if that is above 0.
func (l *Ledger) SettledRows(ctx context.Context, flow string, after int64) (map[Outcome]int64, error) {
	rows, err := l.db.query(ctx, `select outcome, cast(sum(last_row - first_row + 1) as bigint) from qanat_quarantine
		where flow = ? and (? = 0 or seq > ?) group by outcome`, flow, after, after)
	if err != nil {
		return nil, fmt.Errorf("count what became of quarantined rows: %w", err)
	}
	defer func() { _ = rows.Close() }()
	counts := map[Outcome]int64{}
	for rows.Next() {
		var outcome string
		var n int64
		if err := rows.Scan(&outcome, &n); err != nil {
			return nil, err
		}
		counts[Outcome(outcome)] = n
	}
	return counts, rows.Err()
}

// DropRows notes, under the owner's epoch, that quarantined rows are given up; in one transaction for at most rangesAtOnce ranges.
// Rows that were released or dropped before are refused with a *RowsDoneError.
func (l *Ledger) DropRows(ctx context.Context, flow string, epoch uint64, by, reason string, ranges []Range) error {
	for chunk := range slices.Chunk(ranges, rangesAtOnce) {
		err := l.transact(ctx, func(tx statements) error {
			if err := owned(ctx, tx, flow, epoch); err != nil {
				return err
			}
			return settleRows(ctx, tx, flow, Settled{Outcome: DroppedRow, By: by, Reason: reason, At: time.Now()}, chunk)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const rangesAtOnce = 4096

// settleRows notes what became of rows, each of which may have one end only.
func settleRows(ctx context.Context, tx statements, flow string, as Settled, ranges []Range) error {
	for _, r := range ranges {
		var known int64
		err := tx.row(ctx, `select count(*) from qanat_quarantine where flow = ? and unit = ? and late = ? and first_row <= ? and last_row >= ?`,
			flow, r.Unit, r.Late, r.Last, r.First).Scan(&known)
		if err != nil {
			return err
		}
		if known > 0 {
			return &RowsDoneError{Flow: flow, Range: r}
		}
		_, err = tx.exec(ctx, `insert into qanat_quarantine
			(flow, unit, late, first_row, last_row, outcome, decided_by, reason, at, seq) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			flow, r.Unit, r.Late, r.First, r.Last, string(as.Outcome), as.By, as.Reason, as.At.UnixMicro(), as.Seq)
		if err != nil {
			return err
		}
	}
	return nil
}

// redrive notes the rows that a unit releases, in the transaction that writes the unit's row: they are released with it or not at all.
func redrive(ctx context.Context, tx statements, u Unit) error {
	if u.Redriven == nil {
		return nil
	}
	as := Settled{Outcome: Released, By: u.Redriven.By, Reason: u.Redriven.Reason, At: u.Committed, Seq: u.Seq}
	if u.Verdict == Dropped {
		as.Outcome = DroppedRow
	}
	if u.Verdict == Void {
		return nil
	}
	return settleRows(ctx, tx, u.Flow, as, u.Redriven.Ranges)
}

// unredrive follows a held unit that released rows to its end: dropped, they are dropped too, and void, they are open again.
func unredrive(ctx context.Context, tx statements, u Unit) (err error) {
	switch u.Verdict {
	case Dropped:
		_, err = tx.exec(ctx, `update qanat_quarantine set outcome = ? where flow = ? and seq = ?`, string(DroppedRow), u.Flow, u.Seq)
	case Void:
		_, err = tx.exec(ctx, `delete from qanat_quarantine where flow = ? and seq = ?`, u.Flow, u.Seq)
	case Committed, Quarantined, Held:
	}
	if err != nil {
		return errors.Join(fmt.Errorf("unit %d of flow %q: quarantined rows", u.Seq, u.Flow), err)
	}
	return nil
}
