package upkeep

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone/live"
)

// batchBytes bounds the work that is lost when a commit is.
const batchBytes = 1 << 30

// compact puts small files together and merges manifests.
func (k *keeper) compact(ctx context.Context) error {
	for range attempts {
		plan, err := k.plan(ctx)
		switch {
		case err == nil && k.DryRun:
			k.foretell(plan)
		case err == nil:
			err = k.carryOut(ctx, plan)
		}
		if !errors.Is(err, errConflict) {
			return err
		}
	}
	k.keep("small files and manifests: others changed the dataset %d times meanwhile", attempts)
	return nil
}

func (k *keeper) foretell(p plan) {
	for _, g := range p.groups {
		for _, f := range g {
			k.report.Compacted.add(f.bytes)
		}
		k.report.Into.Count += max(1, (bytesOf(g)+k.Policy.Compact.Target-1)/k.Policy.Compact.Target)
	}
	k.report.Into.Bytes = k.report.Compacted.Bytes
	k.report.Files.After += k.report.Into.Count - k.report.Compacted.Count
}

// plan is what to put together in a state of the table.
type plan struct {
	tbl    *table.Table
	head   *table.Snapshot
	survey live.Survey
	groups [][]file
}

func (k *keeper) plan(ctx context.Context) (plan, error) {
	tbl, err := k.Load(ctx)
	if err != nil {
		return plan{}, err
	}
	p := plan{tbl: tbl, head: tbl.CurrentSnapshot()}
	if p.head == nil || k.Policy.Compact.Off {
		return p, nil
	}
	if p.survey, err = looked(ctx, tbl); err != nil {
		return p, err
	}
	if p.survey.Others || (p.survey.Deletes() && len(k.Key) == 0) {
		k.keep("small files: rows of the dataset are deleted by files of their own, in a way that upkeep does not know")
		return p, nil
	}
	files := k.files(tbl, p.survey)
	open, err := k.open(tbl.Metadata(), p.head)
	p.groups = groups(files, k.Policy.Compact, func(f file) bool {
		return f.first <= f.last && f.last <= k.visible(f.flow) && !open[f.entry.Added]
	})
	return p, err
}

// open are the snapshots of units that are not in the ledger. They may be taken back, which goes by the files that they added.
func (k *keeper) open(meta table.Metadata, head *table.Snapshot) (map[int64]bool, error) {
	out := map[int64]bool{}
	for _, s := range ancestors(meta, head) {
		origin, err := k.Origin(s)
		if err != nil {
			return nil, fmt.Errorf("dataset %q: %w", k.Name, err)
		}
		if origin.Unit && origin.Seq > k.Visible[origin.Flow] {
			out[s.SnapshotID] = true
		}
	}
	return out, nil
}

// visible is the newest unit of a flow in the ledger. A dataset without a flow column has one flow.
func (k *keeper) visible(flow string) int64 {
	if k.FlowColumn != "" || flow != "" {
		return k.Visible[flow]
	}
	if len(k.Visible) != 1 {
		return 0
	}
	for _, seq := range k.Visible {
		return seq
	}
	return 0
}

// files are the data files of a snapshot. Those whose units can't be told get a range that nothing may touch.
func (k *keeper) files(tbl *table.Table, s live.Survey) []file {
	seq, _ := tbl.Schema().FindFieldByName(k.SeqColumn)
	flow, _ := tbl.Schema().FindFieldByName(k.FlowColumn)
	out := make([]file, len(s.Data))
	for i, e := range s.Data {
		out[i] = fileOf(e.File, seq.ID, flow.ID, k.FlowColumn != "")
		out[i].entry, out[i].deleted, out[i].part = e, s.Deleted(e), k.Part(e.File.FilePath())
	}
	return out
}

func fileOf(d iceberg.DataFile, seqID, flowID int, hasFlow bool) file {
	f := file{path: d.FilePath(), bytes: d.FileSizeBytes(), first: 1}
	low, high := d.LowerBoundValues(), d.UpperBoundValues()
	first, last := low[seqID], high[seqID]
	if len(first) != 8 || len(last) != 8 || d.FileFormat() != iceberg.ParquetFile {
		return f
	}
	if hasFlow {
		if len(low[flowID]) == 0 || string(low[flowID]) != string(high[flowID]) {
			return f
		}
		f.flow = string(low[flowID])
	}
	f.first = int64(binary.LittleEndian.Uint64(first)) //nolint:gosec // Iceberg stores longs as two's complement
	f.last = int64(binary.LittleEndian.Uint64(last))   //nolint:gosec // see above
	return f
}

// carryOut writes and commits a plan, some groups at a time.
func (k *keeper) carryOut(ctx context.Context, p plan) error {
	if p.head == nil {
		return nil
	}
	if len(p.groups) == 0 {
		return k.replace(ctx, p, nil, nil)
	}
	for len(p.groups) > 0 {
		var some [][]file
		var bytes int64
		for len(p.groups) > 0 && (len(some) == 0 || bytes+bytesOf(p.groups[0]) <= batchBytes) {
			bytes += bytesOf(p.groups[0])
			some, p.groups = append(some, p.groups[0]), p.groups[1:]
		}
		if err := k.rewrite(ctx, p, some); err != nil {
			return err
		}
	}
	return nil
}

// rewrite puts groups together, and puts what it wrote in their place.
func (k *keeper) rewrite(ctx context.Context, p plan, some [][]file) error {
	written, err := k.write(ctx, p, some)
	if err != nil {
		return err
	}
	killpoint.Here("after-compact-write")
	var old []live.Entry
	for _, g := range some {
		for _, f := range g {
			old = append(old, f.entry)
		}
	}
	if err := k.replace(ctx, p, old, written); err != nil {
		return k.unused(ctx, err, written)
	}
	for _, e := range old {
		k.report.Compacted.add(e.File.FileSizeBytes())
	}
	for _, f := range written {
		k.report.Into.add(f.FileSizeBytes())
	}
	return nil
}

// unused removes files that a commit did not take. Where it is not known whether it did, they stay: a sweep finds orphans.
func (k *keeper) unused(ctx context.Context, failure error, files []iceberg.DataFile) error {
	if !errors.Is(failure, errConflict) {
		return failure
	}
	return errors.Join(failure, k.discard(ctx, files))
}

// discard removes files that were not committed; what stays is an orphan.
func (k *keeper) discard(ctx context.Context, files []iceberg.DataFile) error {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.FilePath()
	}
	return k.remove(context.WithoutCancel(ctx), paths)
}
