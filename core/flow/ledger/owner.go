package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Owner is who runs a flow.
type Owner struct {
	Flow      string    `json:"flow"`
	Epoch     uint64    `json:"epoch"`
	Name      string    `json:"owner"` // empty when nobody runs the flow
	Heartbeat time.Time `json:"heartbeat"`
}

// Owner returns who runs a flow; false if nobody ever did.
func (l *Ledger) Owner(ctx context.Context, flow string) (Owner, bool, error) {
	o := Owner{Flow: flow}
	var beat int64
	err := l.db.row(ctx, `select epoch, owner, heartbeat from qanat_owners where flow = ?`, flow).Scan(&o.Epoch, &o.Name, &beat)
	if errors.Is(err, sql.ErrNoRows) {
		return Owner{}, false, nil
	}
	if err != nil {
		return Owner{}, false, fmt.Errorf("read the owner of %q: %w", flow, err)
	}
	o.Heartbeat = time.UnixMicro(beat)
	return o, true, nil
}

// TakeOver makes owner the runner of the flow and returns the new epoch: above the last one and above seen. From here on the
// ledger refuses units of older epochs.
func (l *Ledger) TakeOver(ctx context.Context, flow, owner string, seen uint64) (uint64, error) {
	var epoch uint64
	err := l.transact(ctx, func(tx statements) error {
		var last sql.NullInt64
		err := tx.row(ctx, `select epoch from qanat_owners where flow = ?`, flow).Scan(&last)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		epoch = max(uint64(last.Int64), seen) + 1 //nolint:gosec // epochs are never negative
		_, err = tx.exec(ctx, `insert into qanat_owners (flow, epoch, owner, heartbeat) values (?, ?, ?, ?)
			on conflict (flow) do update set epoch = excluded.epoch, owner = excluded.owner, heartbeat = excluded.heartbeat`,
			flow, epoch, owner, time.Now().UnixMicro())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("take over flow %q: %w", flow, err)
	}
	return epoch, nil
}

// Check returns ErrFenced if the epoch does not own the flow any more.
func (l *Ledger) Check(ctx context.Context, flow string, epoch uint64) error {
	return owned(ctx, l.db, flow, epoch)
}

// Beat says that the runner is alive.
func (l *Ledger) Beat(ctx context.Context, flow string, epoch uint64) error {
	return l.own(ctx, flow, epoch, `update qanat_owners set heartbeat = ? where flow = ? and epoch = ?`, time.Now().UnixMicro())
}

// Release says that nobody runs the flow any more.
func (l *Ledger) Release(ctx context.Context, flow string, epoch uint64) error {
	return l.own(ctx, flow, epoch, `update qanat_owners set owner = ? where flow = ? and epoch = ?`, "")
}

func (l *Ledger) own(ctx context.Context, flow string, epoch uint64, update string, value any) error {
	result, err := l.db.exec(ctx, update, value, flow, epoch)
	if err != nil {
		return fmt.Errorf("state database: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(fmt.Errorf("flow %q epoch %d: %w", flow, epoch, ErrFenced), err)
	}
	return nil
}

func owned(ctx context.Context, q statements, flow string, epoch uint64) error {
	var current uint64
	if err := q.row(ctx, `select epoch from qanat_owners where flow = ?`, flow).Scan(&current); err != nil {
		return fmt.Errorf("read the owner of %q: %w", flow, err)
	}
	if current != epoch {
		return fmt.Errorf("flow %q epoch %d, now %d: %w", flow, epoch, current, ErrFenced)
	}
	return nil
}
