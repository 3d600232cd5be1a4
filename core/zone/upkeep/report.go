package upkeep

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Report is what was done to a dataset, or would be.
type Report struct {
	Dataset string `json:"dataset"`
	DryRun  bool   `json:"dry_run,omitempty"`
	// What the newest snapshot refers to.
	Files     Change `json:"files"`
	Manifests Change `json:"manifests"`
	// What the table holds.
	Snapshots       Change `json:"snapshots"`
	MetadataObjects Change `json:"metadata_objects"`
	MetadataBytes   Change `json:"metadata_bytes"`

	Converted Amount   `json:"converted"` // files with keys of upserts, which are applied to the data files now
	Compacted Amount   `json:"compacted"` // small files that were put together …
	Into      Amount   `json:"into"`      // … into these
	Removed   Amount   `json:"removed"`   // files that had been compacted or replaced, their grace being over
	Waiting   Amount   `json:"waiting"`   // such files within their grace
	Orphans   Amount   `json:"orphans"`   // removed objects that nothing referred to, and uploads that were never finished
	Versions  Amount   `json:"versions"`  // removed versions whose retention is over
	Locked    Amount   `json:"locked"`    // versions under retention
	Kept      []string `json:"kept"`      // what was left, and why
	Seconds   float64  `json:"seconds"`
}

// Change is a number before and after.
type Change struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Amount is a number of objects and their size.
type Amount struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"`
}

func (a *Amount) add(bytes int64) {
	a.Count++
	a.Bytes += bytes
}

// Idle tells whether there was nothing to do.
func (r Report) Idle() bool {
	done := r.Converted.Count + r.Compacted.Count + r.Removed.Count + r.Orphans.Count + r.Versions.Count
	return done == 0 && r.Snapshots.Before == r.Snapshots.After && r.Manifests.Before == r.Manifests.After
}

func (k *keeper) keep(format string, args ...any) {
	k.report.Kept = append(k.report.Kept, fmt.Sprintf(format, args...))
}

func before(c *Change, n int64) { c.Before, c.After = n, n }
func after(c *Change, n int64)  { c.After = n }

// measure notes the size of the table.
func (k *keeper) measure(ctx context.Context, set func(*Change, int64)) error {
	if k.DryRun && k.report.Snapshots.Before > 0 {
		return nil // expire and compact have told what would be
	}
	tbl, err := k.Load(ctx)
	if err != nil {
		return err
	}
	set(&k.report.Snapshots, int64(len(tbl.Metadata().Snapshots())))
	var metadata Amount
	for o, err := range k.Objects.List(ctx, k.Location+"/metadata") {
		if err != nil {
			return err
		}
		metadata.add(o.Bytes)
	}
	set(&k.report.MetadataObjects, metadata.Count)
	set(&k.report.MetadataBytes, metadata.Bytes)
	files, manifests, err := k.count(ctx, tbl)
	set(&k.report.Files, files)
	set(&k.report.Manifests, manifests)
	return err
}

// count gives the data files and manifests of the newest snapshot, by what its manifest list says.
func (k *keeper) count(ctx context.Context, tbl *table.Table) (files, manifests int64, err error) {
	head := tbl.CurrentSnapshot()
	if head == nil {
		return 0, 0, nil
	}
	fs, err := tbl.FS(ctx)
	if err != nil {
		return 0, 0, err
	}
	list, err := head.Manifests(fs)
	if err != nil {
		return 0, 0, fmt.Errorf("manifests of snapshot %d: %w", head.SnapshotID, err)
	}
	for _, m := range list {
		if m.ManifestContent() == iceberg.ManifestContentData {
			files += int64(m.AddedDataFiles()) + int64(m.ExistingDataFiles())
		}
	}
	return files, int64(len(list)), nil
}
