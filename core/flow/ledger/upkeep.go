package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const upkeepSchema = `
create table if not exists qanat_upkeep (
	dataset text primary key, owner text not null, until bigint not null, commits bigint not null default 0,
	swept bigint not null default 0);`

// Upkeep is who looks after a dataset, and when it was last done.
type Upkeep struct {
	Dataset string
	Owner   string // who holds it now
	Commits int64  // how many commits the dataset had when it was last looked after
	// SinceSweep is how long ago its orphans were last looked for, by the database's clock; very long if never.
	SinceSweep time.Duration
}

// TakeUpkeep makes owner the only one to look after a dataset, for a while, or for longer if it is that already. It returns false
// and who it is if somebody else does. Nothing breaks when two do it: it is only twice the work.
func (l *Ledger) TakeUpkeep(ctx context.Context, dataset, owner string, lease time.Duration) (Upkeep, bool, error) {
	u := Upkeep{Dataset: dataset}
	err := l.transact(ctx, func(tx statements) error {
		clock := tx.dialect.clock()
		_, err := tx.exec(ctx, `insert into qanat_upkeep (dataset, owner, until) values (?, ?, `+clock+` + ?)
			on conflict (dataset) do update set owner = excluded.owner, until = excluded.until
			where qanat_upkeep.owner in ('', excluded.owner) or qanat_upkeep.until < `+clock, dataset, owner, lease.Microseconds())
		if err != nil {
			return err
		}
		var since int64
		err = tx.row(ctx, `select owner, commits, `+clock+` - swept from qanat_upkeep where dataset = ?`, dataset).
			Scan(&u.Owner, &u.Commits, &since)
		u.SinceSweep = time.Duration(min(since, int64(maxSince/time.Microsecond))) * time.Microsecond
		return err
	})
	if err != nil {
		return Upkeep{}, false, fmt.Errorf("take the upkeep of %q: %w", dataset, err)
	}
	return u, u.Owner == owner, nil
}

// maxSince bounds what a duration can hold.
const maxSince = 100 * 365 * 24 * time.Hour

// EndUpkeep gives a dataset's upkeep up and notes how many commits the dataset has now, and that its orphans were looked for.
// Whoever lost it to another changes nothing.
func (l *Ledger) EndUpkeep(ctx context.Context, u Upkeep, swept bool) error {
	at := "swept"
	if swept {
		at = l.db.dialect.clock()
	}
	_, err := l.db.exec(ctx, `update qanat_upkeep set owner = '', until = 0, commits = ?, swept = `+at+` where dataset = ? and owner = ?`,
		u.Commits, u.Dataset, u.Owner)
	if err != nil {
		return fmt.Errorf("end the upkeep of %q: %w", u.Dataset, err)
	}
	return nil
}

// Repin sends the readers of a dataset from a snapshot to another one with the same rows; those of one flow's rows, if it is named. It
// returns false if they are sent elsewhere by now.
func (l *Ledger) Repin(ctx context.Context, dataset, flow string, from, to int64) (bool, error) {
	if from == 0 || to == 0 {
		return false, errors.New("readers are sent to snapshots only")
	}
	query, args := `update qanat_writers set snapshot = ? where dataset = ? and snapshot = ?`, []any{to, dataset, from}
	if flow != "" {
		query, args = query+` and flow = ?`, append(args, flow)
	}
	result, err := l.db.exec(ctx, query, args...)
	if err != nil {
		return false, fmt.Errorf("send the readers of %q to another snapshot: %w", dataset, err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}
