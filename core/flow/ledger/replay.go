package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qanat-data/qanat/core/killpoint"
)

// Span is a run of units: First to Last, both included.
type Span struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// Has says whether a unit is in the span.
func (s Span) Has(seq int64) bool { return s.First <= seq && seq <= s.Last }

// Input is a run of units of a flow that a unit, or several, read from a dataset.
type Input struct {
	Dataset string `json:"dataset"`
	Flow    string `json:"flow"`
	Span
}

// Replay says that a unit made earlier units of its flow again: it has no rows of its own, theirs were replaced.
type Replay struct {
	Shadow  string           `json:"shadow"` // the flow that made them
	Units   []Span           `json:"units"`
	Inputs  []Input          `json:"inputs"`
	Rows    map[string]Delta `json:"rows"` // by dataset
	Before  []Stage          `json:"before"`
	After   []Stage          `json:"after"`
	Made    string           `json:"made"` // names the definition and the plugins
	By      string           `json:"by,omitempty"`
	Affects []Stale          `json:"affects,omitempty"`
}

// Delta is a number of rows before and after.
type Delta struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Stale says that a flow has read units of another that were made again since.
type Stale struct {
	Flow  string `json:"flow"`
	Input Input  `json:"input"` // what was made again
	Unit  int64  `json:"unit"`  // of Input.Flow, which replaced them
}

// Purpose is what a shadow is made for.
type Purpose string

// The purposes.
const (
	ForSwap Purpose = "swap" // its rows replace those of the flow
	ForDiff Purpose = "diff" // it is compared with the target, and dropped
	ForInto Purpose = "into" // it stays
)

// Shadow is a flow that makes units of another again, beside its target.
type Shadow struct {
	Flow    string  `json:"flow"` // its own name
	Of      string  `json:"of"`
	Purpose Purpose `json:"purpose"`
	Into    string  `json:"into,omitempty"` // the dataset that people named
	Units   Span    `json:"units"`          // of Of
	Open    bool    `json:"open,omitempty"` // what comes behind Units belongs to it, too
	Inputs  []Input `json:"inputs,omitempty"`
	Made    string  `json:"made"`
	// Swapped is the unit of Of that put the rows in place; 0 before. Done says that a shadow that stays is complete.
	Swapped int64 `json:"swapped,omitempty"`
	Done    bool  `json:"done,omitempty"`
	// Dropping are the locations of datasets that are being dropped, whose names may be gone already.
	Dropping []string  `json:"dropping,omitempty"`
	Begun    time.Time `json:"begun"`
	By       string    `json:"by,omitempty"`
}

const replaySchema = `
create table if not exists qanat_shadows (flow text primary key, replays text not null, doc text not null);
create table if not exists qanat_stale (
	flow text not null, dataset text not null, writer text not null, unit bigint not null, first_unit bigint not null,
	last_unit bigint not null, primary key (flow, dataset, writer, unit, first_unit));`

// SaveShadow notes a shadow, or how it stands.
func (l *Ledger) SaveShadow(ctx context.Context, s Shadow) error {
	return saveShadow(ctx, l.db, s)
}

func saveShadow(ctx context.Context, q statements, s Shadow) error {
	doc, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `insert into qanat_shadows (flow, replays, doc) values (?, ?, ?) on conflict (flow) do update set doc = excluded.doc`,
		s.Flow, s.Of, string(doc))
	if err != nil {
		return fmt.Errorf("note the shadow %q: %w", s.Flow, err)
	}
	return nil
}

// Shadows lists the shadows of a flow, or of all flows if none is named.
func (l *Ledger) Shadows(ctx context.Context, of string) ([]Shadow, error) {
	rows, err := l.db.query(ctx, `select doc from qanat_shadows where ? = '' or replays = ? order by flow`, of, of)
	if err != nil {
		return nil, fmt.Errorf("read the shadows: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Shadow
	for rows.Next() {
		var doc string
		var s Shadow
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(doc), &s); err != nil {
			return nil, fmt.Errorf("the note of a shadow is damaged: %w", err)
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// ForgetShadow removes every trace of a shadow. Nothing else of a ledger is ever removed.
func (l *Ledger) ForgetShadow(ctx context.Context, flow string) error {
	return l.transact(ctx, func(tx statements) error {
		var known int
		if err := tx.row(ctx, `select count(*) from qanat_shadows where flow = ?`, flow).Scan(&known); err != nil || known == 0 {
			return err
		}
		for _, table := range []string{
			"qanat_ledger", "qanat_owners", "qanat_writers", "qanat_totals", "qanat_held", "qanat_quarantine", "qanat_shadows",
		} {
			if _, err := tx.exec(ctx, `delete from `+table+` where flow = ?`, flow); err != nil {
				return fmt.Errorf("forget the shadow %q: %w", flow, err)
			}
		}
		return nil
	})
}

// AppendReplay appends a unit that made earlier ones again, with a Replay. In the same transaction the earlier ones get their new
// accounts, so that sums over units and the totals tell of the rows that are there now; what was decided about their quarantined
// rows is open again, because these were made again, too; readers see the unit's datasets move on together; the shadow is noted as
// swapped; and flows that have read the old rows are noted as stale. Redone holds Seq, Verdict, Stages, Checks, Revisions and the
// rows and bytes of Datasets.
func (l *Ledger) AppendReplay(ctx context.Context, u Unit, redone []Unit, shadow Shadow) error {
	return l.append(ctx, u, func(tx statements) error {
		if err := enter(ctx, tx, u); err != nil {
			return err
		}
		for _, again := range redone {
			if err := redo(ctx, tx, u, again); err != nil {
				return err
			}
		}
		killpoint.Here("inside-replay-ledger")
		shadow.Swapped = u.Seq
		return errors.Join(
			dropEmptyTotals(ctx, tx, u.Flow, redone), saveShadow(ctx, tx, shadow), noteStale(ctx, tx, u), unstale(ctx, tx, u.Flow, u.Replay.Inputs))
	})
}

// redo gives an earlier unit of the replay's flow the account of how it was made now.
func redo(ctx context.Context, tx statements, by, again Unit) error {
	var doc string
	err := tx.row(ctx, `select unit from qanat_ledger where flow = ? and seq = ?`+tx.forUpdate(), by.Flow, again.Seq).Scan(&doc)
	if err != nil {
		return fmt.Errorf("read unit %d of %q: %w", again.Seq, by.Flow, err)
	}
	var u Unit
	if err := json.Unmarshal([]byte(doc), &u); err != nil {
		return fmt.Errorf("unit %d of flow %q in the ledger is damaged: %w", again.Seq, by.Flow, err)
	}
	if err := takeTotals(ctx, tx, u); err != nil {
		return err
	}
	u.Verdict, u.Stages, u.Checks, u.Revisions, u.Replayed = again.Verdict, again.Stages, again.Checks, again.Revisions, by.Seq
	u.Datasets = redoneOutputs(u.Datasets, again.Datasets, by.Datasets)
	now, err := json.Marshal(u)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `update qanat_ledger set verdict = ?, unit = ? where flow = ? and seq = ?`, string(u.Verdict), string(now), by.Flow, u.Seq)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `delete from qanat_quarantine where flow = ? and unit = ?`, by.Flow, u.Seq)
	return errors.Join(err, addTotals(ctx, tx, u))
}

// redoneOutputs are the outputs of a unit as they are now. The snapshot stays the one that the unit came with, where it came with
// one: by it people name the unit.
func redoneOutputs(before, again, swapped map[string]Output) map[string]Output {
	now := map[string]Output{}
	for dataset, out := range before {
		out.Rows, out.Bytes = again[dataset].Rows, again[dataset].Bytes
		now[dataset] = out
	}
	for dataset, out := range again {
		if _, known := now[dataset]; known {
			continue
		}
		now[dataset] = Output{UUID: swapped[dataset].UUID, Snapshot: swapped[dataset].Snapshot, Rows: out.Rows, Bytes: out.Bytes}
	}
	return now
}

// dropEmptyTotals forgets stages that the flow does not have any more and that no unit's rows have passed.
func dropEmptyTotals(ctx context.Context, tx statements, flow string, redone []Unit) error {
	type at struct {
		place int64
		stage string
	}
	kept := map[at]bool{}
	for _, u := range redone {
		for place, s := range u.Stages {
			kept[at{int64(place), s.Name}] = true
		}
	}
	rows, err := tx.query(ctx, `select place, stage from qanat_totals where flow = ? and rows_in = 0 and rows_out = 0
		and rejected = 0 and filtered = 0 and warned = 0 and dropped = 0`, flow)
	if err != nil {
		return err
	}
	var empty []at
	for rows.Next() {
		var a at
		if err := rows.Scan(&a.place, &a.stage); err != nil {
			return errors.Join(err, rows.Close())
		}
		empty = append(empty, a)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, a := range empty {
		if kept[a] {
			continue
		}
		if _, err := tx.exec(ctx, `delete from qanat_totals where flow = ? and place = ? and stage = ?`, flow, a.place, a.stage); err != nil {
			return err
		}
	}
	return nil
}

func noteStale(ctx context.Context, tx statements, u Unit) error {
	for _, s := range u.Replay.Affects {
		_, err := tx.exec(ctx, `insert into qanat_stale (flow, dataset, writer, unit, first_unit, last_unit) values (?, ?, ?, ?, ?, ?)
			on conflict (flow, dataset, writer, unit, first_unit) do nothing`,
			s.Flow, s.Input.Dataset, s.Input.Flow, u.Seq, s.Input.First, s.Input.Last)
		if err != nil {
			return err
		}
	}
	return nil
}

// unstale forgets what a flow was stale by, as far as it has read it again.
func unstale(ctx context.Context, tx statements, flow string, inputs []Input) error {
	for _, in := range inputs {
		_, err := tx.exec(ctx, `delete from qanat_stale where flow = ? and dataset = ? and writer = ? and first_unit >= ? and last_unit <= ?`,
			flow, in.Dataset, in.Flow, in.First, in.Last)
		if err != nil {
			return err
		}
	}
	return nil
}

// Stale lists the flows that have read rows which were replaced since.
func (l *Ledger) Stale(ctx context.Context) ([]Stale, error) {
	rows, err := l.db.query(ctx, `select flow, dataset, writer, unit, first_unit, last_unit from qanat_stale order by flow, dataset, writer, unit, first_unit`)
	if err != nil {
		return nil, fmt.Errorf("read what is stale: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Stale
	for rows.Next() {
		var s Stale
		if err := rows.Scan(&s.Flow, &s.Input.Dataset, &s.Input.Flow, &s.Unit, &s.Input.First, &s.Input.Last); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// shadowMark is in the name of every shadow, and in that of no flow of a pipeline.
const shadowMark = "~"

// ShadowName names a shadow of a flow. No two are called the same, so that nobody who still runs a dropped one meets another's.
func ShadowName(of string, p Purpose, unique string) string {
	return of + shadowMark + string(p) + "-" + unique
}

// IsShadow tells the names of shadows from those of other flows.
func IsShadow(flow string) bool { return strings.Contains(flow, shadowMark) }

// Spans puts seqs, which must be in order, together.
func Spans(seqs []int64) []Span {
	var spans []Span
	for _, seq := range seqs {
		if n := len(spans); n > 0 && spans[n-1].Last+1 == seq {
			spans[n-1].Last = seq
			continue
		}
		spans = append(spans, Span{First: seq, Last: seq})
	}
	return spans
}

// SumStages adds up accounts, stage by stage in the order in which they first appear.
func SumStages(units []Unit) []Stage {
	sums := []Stage{}
	for _, u := range units {
		for _, s := range u.Stages {
			i := slices.IndexFunc(sums, func(known Stage) bool { return known.Name == s.Name })
			if i < 0 {
				sums = append(sums, s)
				continue
			}
			sum := &sums[i]
			sum.In, sum.Out, sum.Rejected, sum.Filtered = sum.In+s.In, sum.Out+s.Out, sum.Rejected+s.Rejected, sum.Filtered+s.Filtered
			sum.Warned, sum.Dropped = sum.Warned+s.Warned, sum.Dropped+s.Dropped
		}
	}
	return sums
}
