package flow

import (
	"context"
	"errors"
	"time"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone"
)

// quarantineWriter keeps a flow's rejected rows in its quarantine dataset, which is made with the first of them.
type quarantineWriter struct {
	settings *Settings
	runtime  *Runtime
	epoch    uint64
	dataset  *zone.Dataset
	holds    int64 // the unit that was already there after the takeover
	late     int64 // the same of what a sink refused only when it committed
	stage    *zone.Stage
	rows     int64
}

// lateSuffix makes the name under which a flow's late rejects are marked.
const lateSuffix = ".late"

func newQuarantineWriter(s *Settings, r *Runtime) *quarantineWriter {
	return &quarantineWriter{settings: s, runtime: r}
}

// prepare fences the dataset, if there is one, and takes back a unit that will not be completed.
func (q *quarantineWriter) prepare(ctx context.Context, epoch uint64, committed int64, complete *closeFrame) (there bool, err error) {
	q.epoch = epoch
	dataset, err := q.runtime.Zones.Dataset(ctx, q.settings.Quarantine)
	if errors.Is(err, zone.ErrNotFound) {
		return complete != nil && complete.Rejected == 0, nil
	}
	if err != nil {
		return false, err
	}
	keep := int64(0)
	if complete != nil {
		keep = complete.Seq
	}
	for _, flow := range []string{q.settings.Name + lateSuffix, q.settings.Name} {
		// A flow that has not written yet is fenced, too: its older runner may be about to. That moves the head for late rejects as well.
		if _, wrote := dataset.Mark(flow); !wrote && flow != q.settings.Name {
			continue
		}
		held, err := takeDataset(ctx, dataset, flow, epoch, committed, keep)
		if err != nil {
			return false, err
		}
		if flow == q.settings.Name {
			q.holds = held
		} else {
			q.late = held
		}
	}
	q.dataset, err = dataset.Reload(ctx)
	return complete != nil && (complete.Rejected == 0 || q.holds == complete.Seq), err
}

func (q *quarantineWriter) write(ctx context.Context, seq int64, rows []quarantine.Rejected) error {
	if len(rows) == 0 {
		return nil
	}
	if q.holds >= seq {
		q.rows += int64(len(rows))
		return nil
	}
	return q.stageRows(ctx, quarantine.RowID{Unit: seq}, rows)
}

// writeLate stages rows beside a unit whose other rejects are committed already.
func (q *quarantineWriter) writeLate(ctx context.Context, seq int64, rows []quarantine.Rejected) error {
	if q.late >= seq {
		return nil
	}
	return q.stageRows(ctx, quarantine.RowID{Unit: seq, Late: true}, rows)
}

// stageRows numbers the rows as they are written: what lies in the log, and what the target refuses, is the same each time.
func (q *quarantineWriter) stageRows(ctx context.Context, id quarantine.RowID, rows []quarantine.Rejected) error {
	if err := q.open(ctx, id.Unit); err != nil {
		return err
	}
	for len(rows) > 0 {
		n := min(len(rows), rejectsPerFrame)
		id.N = q.rows + 1
		batch := quarantine.Batch(rows[:n], id, q.runtime.Alloc)
		err := q.stage.Write(ctx, batch, "")
		batch.Release()
		if err != nil {
			return err
		}
		q.rows += int64(n)
		rows = rows[n:]
	}
	return nil
}

func (q *quarantineWriter) open(ctx context.Context, seq int64) (err error) {
	if q.stage != nil {
		return nil
	}
	if q.dataset == nil {
		writer := ledger.Writer{Dataset: q.settings.Quarantine.String(), Flow: q.settings.Name, Mode: "append"}
		if err := q.runtime.Ledger.AddWriter(ctx, writer); err != nil {
			return err
		}
		killpoint.Here("before-quarantine-create")
		q.dataset, err = q.runtime.Zones.Create(ctx, q.settings.Quarantine, quarantine.Schema(), zone.CreateOptions{})
		killpoint.Here("after-quarantine-create")
		if errors.Is(err, zone.ErrExists) {
			q.dataset, err = q.runtime.Zones.Dataset(ctx, q.settings.Quarantine)
		}
		if err != nil {
			return err
		}
	}
	if !q.dataset.Schema().HasField("id") { // an earlier version made it
		if q.dataset, _, err = q.dataset.Evolve(ctx, quarantine.Schema()); err != nil {
			return err
		}
	}
	q.stage, err = q.dataset.Stage(ctx, zone.StageOptions{Flow: q.settings.Name, Seq: seq, IngestedAt: time.Now()})
	return err
}

// commit makes the unit's rejected rows visible and returns how many they are; with none it does nothing.
func (q *quarantineWriter) commit(ctx context.Context, mark zone.Mark, outputs map[string]ledger.Output) (int64, error) {
	if q.stage == nil {
		if !q.has(mark) {
			return 0, nil
		}
		return q.commitFiles(ctx, zone.Files{}, mark, outputs) // it is there already, and belongs into the ledger row
	}
	stage := q.stage
	q.stage = nil
	killpoint.Here("before-quarantine-upload")
	files, err := stage.Finish(ctx)
	killpoint.Here("after-quarantine-upload")
	if err != nil {
		return 0, err
	}
	return q.commitFiles(ctx, files, mark, outputs)
}

// has says whether the unit was there when the flow was taken over.
func (q *quarantineWriter) has(mark zone.Mark) bool {
	if q.dataset == nil {
		return false
	}
	if mark.Flow == q.settings.Name {
		return q.holds == mark.Seq
	}
	return q.late == mark.Seq
}

func (q *quarantineWriter) commitFiles(ctx context.Context, files zone.Files, mark zone.Mark, outputs map[string]ledger.Output) (int64, error) {
	snapshot, err := q.dataset.Commit(ctx, zone.CommitRequest{
		Files: files, Mark: mark, Mode: zone.Append,
		CheckOwner: func(ctx context.Context) error { return q.runtime.Ledger.Check(ctx, q.settings.Name, q.epoch) },
	})
	if err != nil {
		return 0, err
	}
	before := outputs[q.settings.Quarantine.String()]
	outputs[q.settings.Quarantine.String()] = ledger.Output{
		UUID: q.dataset.UUID(), Snapshot: snapshot.ID, Rows: before.Rows + snapshot.Added, Bytes: before.Bytes + files.Bytes,
	}
	q.rows = 0
	return snapshot.Added, nil
}

func (q *quarantineWriter) abort(ctx context.Context) {
	q.rows = 0
	if q.stage == nil {
		return
	}
	if err := q.stage.Abort(ctx); err != nil {
		q.runtime.Log.Warn("remove staged files", "dataset", q.settings.Quarantine, "error", err)
	}
	q.stage = nil
}
