package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// How often, and after which pauses, a commit whose answer was lost is looked up.
const lookUps, lookUpPause = 5, 100 * time.Millisecond

// append runs do, which writes the unit's row, in a transaction. If the answer to its commit is lost, it finds out whether the row
// is there, and writes it if not: only then can the source be told, or the unit be written again.
func (l *Ledger) append(ctx context.Context, u Unit, do func(statements) error) error {
	err := l.transact(ctx, do)
	pause := lookUpPause
	for range lookUps {
		if lost, ok := errors.AsType[*unansweredError](err); !ok || !Busy(lost) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
		pause *= 2
		lost := err
		err = l.transact(ctx, func(tx statements) error {
			there, err := holds(ctx, tx, u)
			if there || err != nil {
				return err
			}
			return do(tx)
		})
		if _, again := errors.AsType[*unansweredError](err); err != nil && !again && Busy(err) {
			err = lost // still no answer
		}
	}
	return err
}

// holds says whether the unit's row is there as this runner writes it. It waits for a transaction that is still writing it.
func holds(ctx context.Context, tx statements, u Unit) (bool, error) {
	if _, _, err := ownerOf(ctx, tx, u.Flow); err != nil {
		return false, err
	}
	var epoch uint64
	var doc string
	err := tx.row(ctx, `select epoch, unit from qanat_ledger where flow = ? and seq = ?`, u.Flow, u.Seq).Scan(&epoch, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the ledger: %w", err)
	}
	own, err := json.Marshal(u)
	return epoch == u.Epoch && doc == string(own), err
}

// createLock is what processes that start at the same time wait for: Postgres may fail a "create if not exists" that another
// connection is busy with.
const createLock = 0x71616e6174

// create makes what is missing.
func (l *Ledger) create(ctx context.Context, schema string) error {
	return l.transact(ctx, func(tx statements) error {
		if tx.dialect == Postgres {
			if _, err := tx.exec(ctx, `select pg_advisory_xact_lock(?)`, createLock); err != nil {
				return err
			}
		}
		_, err := tx.exec(ctx, schema)
		return err
	})
}
