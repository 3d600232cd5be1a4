// Package ledger keeps the committed units of every flow in the state database: a row here is the commit. It also keeps who owns
// a flow (the epoch that fences older runners out) and which datasets a flow writes. It knows nothing of logs, tables or plugins.
package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/qanat-data/qanat/core/killpoint"
)

// ErrFenced says that a newer epoch owns the flow.
var ErrFenced = errors.New("the flow has been taken over by another runner")

// Verdict says what became of a unit.
type Verdict string

// The verdicts.
const (
	Committed   Verdict = "committed"
	Quarantined Verdict = "quarantined" // the whole unit went to quarantine
	Held        Verdict = "held"        // the unit waits on its branch for a decision
	Dropped     Verdict = "dropped"     // people gave the held unit up
	Void        Verdict = "void"        // the held unit counts for nothing: its input is read again
)

// Unit is one committed unit of a flow.
type Unit struct {
	Flow      string            `json:"flow"`
	Seq       int64             `json:"seq"`
	Epoch     uint64            `json:"epoch"`
	Verdict   Verdict           `json:"verdict"`
	Position  json.RawMessage   `json:"-"`
	LogEnd    uint64            `json:"-"` // last sequence of the unit in the flow's log
	Datasets  map[string]Output `json:"datasets,omitempty"`
	Stages    []Stage           `json:"stages"`
	Checks    []CheckResult     `json:"checks,omitempty"`
	Revisions map[string]string `json:"revisions,omitempty"` // of plugins: name to digest
	Decision  *Decision         `json:"decision,omitempty"`  // about the unit, if it was held
	Redriven  *Redriven         `json:"redriven,omitempty"`  // if it is made of quarantined rows
	Replay    *Replay           `json:"replay,omitempty"`    // if it made earlier units again
	Replayed  int64             `json:"replayed,omitempty"`  // the last unit that made this one again
	Opened    time.Time         `json:"opened"`
	Committed time.Time         `json:"committed"`
}

// Output is what a unit left in a dataset.
type Output struct {
	UUID     string `json:"uuid"`
	Snapshot int64  `json:"snapshot"`
	Rows     int64  `json:"rows"`
	Bytes    int64  `json:"bytes"`
}

// Stage is the account of one stage of a unit, in rows. In a stage that maps rows, In = Out + Rejected + Filtered + Dropped.
type Stage struct {
	Name     string `json:"name"`
	Maps     bool   `json:"maps"` // rows are mapped one to one, so the account must balance
	In       int64  `json:"in"`
	Out      int64  `json:"out"`
	Rejected int64  `json:"rejected,omitempty"`
	Filtered int64  `json:"filtered,omitempty"`
	Warned   int64  `json:"warned,omitempty"`
	Dropped  int64  `json:"dropped,omitempty"` // with a held unit that people gave up
}

// CheckResult is the verdict of a check on a unit.
type CheckResult struct {
	Check   string             `json:"check"`
	Verdict string             `json:"verdict"`
	Action  string             `json:"action,omitempty"` // what on_fail made of it
	Message string             `json:"message,omitempty"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
}

// Ledger is the ledger of all flows. Safe for concurrent use, also by several processes.
type Ledger struct {
	pool *sql.DB
	db   statements // on the pool
}

const schema = `
create table if not exists qanat_owners (
	flow text primary key, epoch bigint not null, owner text not null, heartbeat bigint not null);
create table if not exists qanat_ledger (
	flow text not null, seq bigint not null, epoch bigint not null, verdict text not null, position bytes,
	log_end bigint not null, unit text not null, committed_at bigint not null, primary key (flow, seq));
create table if not exists qanat_writers (
	dataset text not null, flow text not null, mode text not null, snapshot bigint not null default 0,
	primary key (dataset, flow));
create table if not exists qanat_totals (
	flow text not null, place bigint not null, stage text not null, maps boolean not null, rows_in bigint not null,
	rows_out bigint not null, rejected bigint not null, filtered bigint not null, warned bigint not null,
	dropped bigint not null default 0, primary key (flow, place, stage));`

// Open makes the tables where they are missing.
func Open(ctx context.Context, db *sql.DB, dialect Dialect) (*Ledger, error) {
	l := &Ledger{pool: db, db: statements{runner: db, dialect: dialect}}
	if err := l.create(ctx, strings.ReplaceAll(schema+heldSchema+quarantineSchema+replaySchema+upkeepSchema+lagSchema, "bytes", dialect.bytes())); err != nil {
		return nil, fmt.Errorf("create the ledger's tables: %w", err)
	}
	return l, nil
}

// keptPositions is how many units keep a position of any size; older ones keep only small ones.
const keptPositions, smallPosition = 16, 4096

// Append commits a unit: the row is written only if the epoch still owns the flow and the unit is the next one.
func (l *Ledger) Append(ctx context.Context, u Unit) error {
	return l.append(ctx, u, func(tx statements) error { return enter(ctx, tx, u) })
}

// enter writes a unit's row and what follows from it.
func enter(ctx context.Context, tx statements, u Unit) error {
	if err := owned(ctx, tx, u.Flow, u.Epoch); err != nil {
		return err
	}
	var last sql.NullInt64
	if err := tx.row(ctx, `select max(seq) from qanat_ledger where flow = ?`, u.Flow).Scan(&last); err != nil {
		return err
	}
	if u.Seq != last.Int64+1 {
		return fmt.Errorf("flow %q: unit %d can't follow unit %d", u.Flow, u.Seq, last.Int64)
	}
	doc, err := json.Marshal(u)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx,
		`insert into qanat_ledger (flow, seq, epoch, verdict, position, log_end, unit, committed_at) values (?, ?, ?, ?, ?, ?, ?, ?)`,
		u.Flow, u.Seq, u.Epoch, string(u.Verdict), []byte(u.Position), u.LogEnd, string(doc), u.Committed.UnixMicro())
	if err != nil {
		return err
	}
	killpoint.Here("inside-ledger")
	if err := errors.Join(showDatasets(ctx, tx, u), addTotals(ctx, tx, u), redrive(ctx, tx, u), noteHeld(ctx, tx, u)); err != nil {
		return err
	}
	_, err = tx.exec(ctx, `update qanat_ledger set position = null where flow = ? and seq = ? and length(position) > ?`,
		u.Flow, u.Seq-keptPositions, smallPosition)
	return err
}

// Last returns the newest unit of a flow.
func (l *Ledger) Last(ctx context.Context, flow string) (Unit, bool, error) {
	units, err := l.query(ctx, `where flow = ? order by seq desc limit 1`, flow)
	if err != nil || len(units) == 0 {
		return Unit{}, false, err
	}
	return units[0], true, nil
}

// Units returns the units of a flow after a seq, oldest first, at most limit.
func (l *Ledger) Units(ctx context.Context, flow string, after int64, limit int) ([]Unit, error) {
	return l.query(ctx, `where flow = ? and seq > ? order by seq limit ?`, flow, after, limit)
}

// Flows lists the flows that have a unit or an owner; not shadows.
func (l *Ledger) Flows(ctx context.Context) ([]string, error) {
	return l.names(ctx, `select flow from qanat_owners where flow not like '%`+shadowMark+`%'
		union select flow from qanat_ledger where flow not like '%`+shadowMark+`%' order by 1`)
}

func (l *Ledger) names(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := l.db.query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

func (l *Ledger) query(ctx context.Context, clause string, args ...any) ([]Unit, error) {
	rows, err := l.db.query(ctx, `select unit, position, log_end from qanat_ledger `+clause, args...)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var units []Unit
	for rows.Next() {
		var doc string
		var position []byte
		var u Unit
		var logEnd uint64
		if err := rows.Scan(&doc, &position, &logEnd); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(doc), &u); err != nil {
			return nil, fmt.Errorf("a unit in the ledger is damaged: %w", err)
		}
		u.Position, u.LogEnd = position, logEnd
		units = append(units, u)
	}
	return units, rows.Err()
}
