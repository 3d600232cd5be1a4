package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const lagSchema = `
create table if not exists qanat_lag (
	flow text primary key, epoch bigint not null, behind bigint not null, micros bigint not null, retained bigint not null, noted bigint not null);`

// Lag is how far a flow's source is ahead, by the word of its runner.
type Lag struct {
	Bytes    int64         `json:"bytes"`          // what the source holds that was not read yet
	Behind   time.Duration `json:"-"`              // how long ago what was read was all there was
	Retained int64         `json:"retained_bytes"` // what the source keeps because it was not acknowledged
	Age      time.Duration `json:"-"`              // how long ago this was noted, by the state database's clock
}

// NoteLag keeps the latest lag of a flow. It is for people to look at, so it is no fault if the flow has another runner by now.
func (l *Ledger) NoteLag(ctx context.Context, flow string, epoch uint64, lag Lag) error {
	_, err := l.db.exec(ctx, `insert into qanat_lag (flow, epoch, behind, micros, retained, noted) values (?, ?, ?, ?, ?, `+l.db.dialect.clock()+`)
		on conflict (flow) do update set epoch = excluded.epoch, behind = excluded.behind, micros = excluded.micros, retained = excluded.retained,
			noted = excluded.noted where qanat_lag.epoch <= excluded.epoch`,
		flow, epoch, lag.Bytes, lag.Behind.Microseconds(), lag.Retained)
	if err != nil {
		return fmt.Errorf("note the lag of %q: %w", flow, err)
	}
	return nil
}

// LagOf returns what was last noted by the runner of an epoch; false if that has said nothing.
func (l *Ledger) LagOf(ctx context.Context, flow string, epoch uint64) (Lag, bool, error) {
	var lag Lag
	var micros, age int64
	err := l.db.row(ctx, `select behind, micros, retained, `+l.db.dialect.clock()+` - noted from qanat_lag where flow = ? and epoch = ?`, flow, epoch).
		Scan(&lag.Bytes, &micros, &lag.Retained, &age)
	if errors.Is(err, sql.ErrNoRows) {
		return lag, false, nil
	}
	if err != nil {
		return lag, false, fmt.Errorf("read the lag of %q: %w", flow, err)
	}
	lag.Behind, lag.Age = time.Duration(micros)*time.Microsecond, time.Duration(age)*time.Microsecond
	return lag, true, nil
}
