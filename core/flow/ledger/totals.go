package ledger

import (
	"context"
	"fmt"
	"slices"
)

// addTotals adds a unit's accounts to those of the units before it, in the transaction that writes its row.
func addTotals(ctx context.Context, tx statements, u Unit) error {
	if u.Verdict == Void {
		return nil
	}
	for place, s := range u.Stages {
		_, err := tx.exec(ctx, `insert into qanat_totals
			(flow, place, stage, maps, rows_in, rows_out, rejected, filtered, warned, dropped) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			on conflict (flow, place, stage) do update set maps = excluded.maps,
				rows_in = qanat_totals.rows_in + excluded.rows_in, rows_out = qanat_totals.rows_out + excluded.rows_out,
				rejected = qanat_totals.rejected + excluded.rejected, filtered = qanat_totals.filtered + excluded.filtered,
				warned = qanat_totals.warned + excluded.warned, dropped = qanat_totals.dropped + excluded.dropped`,
			u.Flow, place, s.Name, s.Maps, s.In, s.Out, s.Rejected, s.Filtered, s.Warned, s.Dropped)
		if err != nil {
			return err
		}
	}
	return nil
}

// takeTotals takes a unit's accounts out again, because they are about to change.
func takeTotals(ctx context.Context, tx statements, u Unit) error {
	taken := u
	taken.Stages = slices.Clone(u.Stages)
	for i := range taken.Stages {
		s := &taken.Stages[i]
		s.In, s.Out, s.Rejected, s.Filtered, s.Warned, s.Dropped = -s.In, -s.Out, -s.Rejected, -s.Filtered, -s.Warned, -s.Dropped
	}
	return addTotals(ctx, tx, taken)
}

// Totals sums up the accounts of all of a flow's units, stage by stage in their order. A stage that has moved or gone since, because
// the pipeline was changed, keeps what it counted.
func (l *Ledger) Totals(ctx context.Context, flow string) ([]Stage, error) {
	rows, err := l.db.query(ctx, `select stage, maps, rows_in, rows_out, rejected, filtered, warned, dropped
		from qanat_totals where flow = ? order by place, stage`, flow)
	if err != nil {
		return nil, fmt.Errorf("read the totals of %q: %w", flow, err)
	}
	defer func() { _ = rows.Close() }()
	totals := []Stage{}
	for rows.Next() {
		var s Stage
		if err := rows.Scan(&s.Name, &s.Maps, &s.In, &s.Out, &s.Rejected, &s.Filtered, &s.Warned, &s.Dropped); err != nil {
			return nil, err
		}
		totals = append(totals, s)
	}
	return totals, rows.Err()
}
