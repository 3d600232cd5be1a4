package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"strings"
)

// Writer is a flow that writes a dataset.
type Writer struct {
	Dataset string
	Flow    string
	Mode    string
}

// The modes of a writer.
const (
	Append    = "append"
	Overwrite = "overwrite" // each unit replaces all there was
	Upsert    = "upsert"    // rows replace others by key
)

// AddWriter notes that a flow writes a dataset. A dataset that is not append-only, or that lies in landing, has exactly one
// writing flow; a second one is refused.
func (l *Ledger) AddWriter(ctx context.Context, w Writer) error {
	return l.transact(ctx, func(tx statements) error {
		if err := tx.alone(ctx, "qanat_writers"); err != nil {
			return err
		}
		others, err := writers(ctx, tx, w.Dataset)
		if err != nil {
			return err
		}
		for _, other := range others {
			if other == w {
				return nil
			}
			if other.Flow != w.Flow && (w.alone() || other.alone()) {
				return fmt.Errorf("dataset %q is written by flow %q (%s); flow %q can't write it too (%s)",
					w.Dataset, other.Flow, other.Mode, w.Flow, w.Mode)
			}
		}
		_, err = tx.exec(ctx, `insert into qanat_writers (dataset, flow, mode) values (?, ?, ?)
			on conflict (dataset, flow) do update set mode = excluded.mode`, w.Dataset, w.Flow, w.Mode)
		return err
	})
}

func (w Writer) alone() bool {
	return w.Mode != Append || strings.HasPrefix(w.Dataset, "landing.")
}

// Writers lists the flows that write a dataset.
func (l *Ledger) Writers(ctx context.Context, dataset string) ([]Writer, error) {
	return writers(ctx, l.db, dataset)
}

// DatasetsOf lists the datasets that a flow writes.
func (l *Ledger) DatasetsOf(ctx context.Context, flow string) ([]string, error) {
	return l.names(ctx, `select dataset from qanat_writers where flow = ? order by dataset`, flow)
}

func writers(ctx context.Context, q statements, dataset string) ([]Writer, error) {
	rows, err := q.query(ctx, `select dataset, flow, mode from qanat_writers where dataset = ? order by flow`, dataset)
	if err != nil {
		return nil, fmt.Errorf("read the writers of %q: %w", dataset, err)
	}
	defer func() { _ = rows.Close() }()
	var found []Writer
	for rows.Next() {
		var w Writer
		if err := rows.Scan(&w.Dataset, &w.Flow, &w.Mode); err != nil {
			return nil, err
		}
		found = append(found, w)
	}
	return found, rows.Err()
}

// View is what readers may see of a dataset: the units in the ledger, and nothing of the heads that may be ahead of it.
type View struct {
	Dataset   string
	Overwrite bool             // each unit replaces all before it
	Seqs      map[string]int64 // by writing flow: its newest visible unit
	Snapshot  int64            // to read at, if one flow writes the dataset; else 0
	// Snapshots are, if several flows write the dataset, those to read the rows of each at: a snapshot that one of them made may
	// hold what others have not committed, but what it holds of that one is committed.
	Snapshots map[string]int64
}

// Empty says that no unit is visible.
func (v View) Empty() bool { return len(v.Seqs) == 0 }

// View returns the visible state of a dataset.
func (l *Ledger) View(ctx context.Context, dataset string) (View, error) {
	views, err := l.Views(ctx, dataset)
	if err != nil {
		return View{}, err
	}
	return views[0], nil
}

const viewsQuery = `select w.dataset, w.flow, w.mode, w.snapshot,
	(select max(seq) from qanat_ledger u where u.flow = w.flow and u.verdict <> 'held')
	from qanat_writers w where w.dataset in (?)`

// Views returns the visible states of several datasets at one moment, in the order of the names: a unit that wrote two of them is
// visible in both or in neither.
func (l *Ledger) Views(ctx context.Context, datasets ...string) ([]View, error) {
	views := make([]View, len(datasets))
	at := map[string]*View{}
	names := make([]any, len(datasets))
	for i, dataset := range datasets {
		views[i] = View{Dataset: dataset, Seqs: map[string]int64{}}
		at[dataset], names[i] = &views[i], dataset
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(datasets)), ", ")
	rows, err := l.db.query(ctx, strings.Replace(viewsQuery, "(?)", "("+marks+")", 1), names...)
	if err != nil {
		return nil, fmt.Errorf("read the views of %q: %w", datasets, err)
	}
	defer func() { _ = rows.Close() }()
	writing := map[string]map[string]int64{} // snapshots by dataset and flow, 0 for none yet
	for rows.Next() {
		var w Writer
		var snapshot int64
		var seq sql.NullInt64
		if err := rows.Scan(&w.Dataset, &w.Flow, &w.Mode, &snapshot, &seq); err != nil {
			return nil, err
		}
		view := at[w.Dataset]
		if writing[w.Dataset] == nil {
			writing[w.Dataset] = map[string]int64{}
		}
		writing[w.Dataset][w.Flow] = snapshot
		view.Overwrite = view.Overwrite || w.Mode == Overwrite
		if snapshot != 0 {
			view.Seqs[w.Flow], view.Snapshot = seq.Int64, snapshot
		}
	}
	for dataset, snapshots := range writing {
		if len(snapshots) > 1 {
			maps.DeleteFunc(snapshots, func(_ string, snapshot int64) bool { return snapshot == 0 })
			at[dataset].Snapshot, at[dataset].Snapshots = 0, snapshots
		}
	}
	return views, rows.Err()
}

// showDatasets moves readers of the unit's datasets on to its snapshots; a held unit stays out of sight.
func showDatasets(ctx context.Context, tx statements, u Unit) error {
	if u.Verdict == Held {
		return nil
	}
	for dataset, out := range u.Datasets {
		_, err := tx.exec(ctx, `update qanat_writers set snapshot = ? where dataset = ? and flow = ?`, out.Snapshot, dataset, u.Flow)
		if err != nil {
			return err
		}
	}
	return nil
}
