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
	Name      string    `json:"owner"`     // empty when nobody runs the flow
	Heartbeat time.Time `json:"heartbeat"` // by the state database's clock
	// Silent is how long ago the heartbeat was when it was read, by the same clock: less than zero if that was set back.
	Silent time.Duration `json:"-"`
}

// Same says whether nothing has been heard of an owner since it was looked at before.
func (o Owner) Same(before Owner) bool {
	return o.Flow == before.Flow && o.Epoch == before.Epoch && o.Name == before.Name && o.Heartbeat.Equal(before.Heartbeat)
}

// OwnedError says that a flow could not be taken over, because its owner is not the one that was judged to be gone, or has given a
// sign of life since.
type OwnedError struct {
	Owner Owner
}

// Error implements error.
func (e *OwnedError) Error() string {
	return fmt.Sprintf("flow %q is run by %s (epoch %d)", e.Owner.Flow, e.Owner.Name, e.Owner.Epoch)
}

// Owner returns who runs a flow; false if nobody ever did.
func (l *Ledger) Owner(ctx context.Context, flow string) (Owner, bool, error) {
	return ownerOf(ctx, l.db, flow)
}

func ownerOf(ctx context.Context, q statements, flow string) (Owner, bool, error) {
	o := Owner{Flow: flow}
	var beat, now int64
	query := `select epoch, owner, heartbeat, ` + q.dialect.clock() + ` from qanat_owners where flow = ?` + q.forUpdate()
	err := q.row(ctx, query, flow).Scan(&o.Epoch, &o.Name, &beat, &now)
	if errors.Is(err, sql.ErrNoRows) {
		return Owner{}, false, nil
	}
	if err != nil {
		return Owner{}, false, fmt.Errorf("read the owner of %q: %w", flow, err)
	}
	o.Heartbeat, o.Silent = time.UnixMicro(beat), time.Duration(now-beat)*time.Microsecond
	return o, true, nil
}

// TakeOver makes owner the runner of the flow and returns the new epoch: above the last one and above seen. From here on the
// ledger refuses units of older epochs. It is refused with an *OwnedError unless nobody runs the flow, owner itself does, or
// judged does, and has not been heard of since it was read.
func (l *Ledger) TakeOver(ctx context.Context, flow, owner string, seen uint64, judged Owner) (uint64, error) {
	var epoch uint64
	err := l.transact(ctx, func(tx statements) error {
		// A row that is there can be locked, so that of two runners that come at once the second sees the first.
		_, err := tx.exec(ctx, `insert into qanat_owners (flow, epoch, owner, heartbeat) values (?, 0, '', 0)
			on conflict (flow) do nothing`, flow)
		if err != nil {
			return err
		}
		current, _, err := ownerOf(ctx, tx, flow)
		if err != nil {
			return err
		}
		if current.Name != "" && current.Name != owner && !current.Same(judged) {
			return &OwnedError{Owner: current}
		}
		epoch = max(current.Epoch, seen) + 1
		_, err = tx.exec(ctx, `update qanat_owners set epoch = ?, owner = ?, heartbeat = `+tx.dialect.clock()+` where flow = ?`,
			epoch, owner, flow)
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

// Beat says that the runner is alive. A sign of life always differs from the one before, however coarse the clock is.
func (l *Ledger) Beat(ctx context.Context, flow string, epoch uint64) error {
	now := l.db.dialect.clock()
	return l.own(ctx, flow, epoch, `update qanat_owners set heartbeat =
		case when heartbeat between `+now+` and `+now+` + 999 then heartbeat + 1 else `+now+` end where flow = ? and epoch = ?`)
}

// Release says that nobody runs the flow any more.
func (l *Ledger) Release(ctx context.Context, flow string, epoch uint64) error {
	return l.own(ctx, flow, epoch, `update qanat_owners set owner = '' where flow = ? and epoch = ?`)
}

func (l *Ledger) own(ctx context.Context, flow string, epoch uint64, update string) error {
	result, err := l.db.exec(ctx, update, flow, epoch)
	if err != nil {
		return fmt.Errorf("state database: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(fmt.Errorf("flow %q epoch %d: %w", flow, epoch, ErrFenced), err)
	}
	return nil
}

// owned fails with ErrFenced if another epoch owns the flow. In a transaction nobody takes the flow over before its end.
func owned(ctx context.Context, q statements, flow string, epoch uint64) error {
	var current uint64
	if err := q.row(ctx, `select epoch from qanat_owners where flow = ?`+q.forUpdate(), flow).Scan(&current); err != nil {
		return fmt.Errorf("read the owner of %q: %w", flow, err)
	}
	if current != epoch {
		return fmt.Errorf("flow %q epoch %d, now %d: %w", flow, epoch, current, ErrFenced)
	}
	return nil
}
