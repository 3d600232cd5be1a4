// Package upkeep keeps the table of a dataset small, fast to read and fast to commit to: it puts small files together, merges
// manifests, lets old snapshots go, and removes what nothing refers to any more. It works on one table that package zone hands it
// (Table), beside writers and readers, and holds the table's lock only while it commits. When to do it, and what readers still
// need, is said by its callers: zone.Dataset.Upkeep and core/engine.
//
// DESIGN.md says why it is safe to die anywhere.
package upkeep

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/zone/objects"
)

// Table is a dataset's table as upkeep needs it.
type Table struct {
	Name     string
	Location string
	Objects  *objects.Client
	Log      hclog.Logger
	Load     func(ctx context.Context) (*table.Table, error)
	Lock     func() (unlock func()) // against other changes in this process
	Commit   func(context.Context, []table.Requirement, []table.Update) (table.Metadata, error)
	// Marks are the properties of a snapshot of upkeep that follows head.
	Marks func(head *table.Snapshot) (iceberg.Properties, error)
	// Origin says what a snapshot is.
	Origin func(*table.Snapshot) (Origin, error)
	// FileID is the random part of the name of a file that is written with a schema and lies where that part of a unit did. Part finds
	// it in a name.
	FileID func(schema, part int) uuid.UUID
	Part   func(name string) int
	// SeqColumn and FlowColumn hold the unit of a row. Without a flow column, one flow writes the dataset.
	SeqColumn, FlowColumn string
	// Key are the columns that upserts find rows by. Without them nothing but upkeep deletes rows of files that stay.
	Key []string
}

// Origin is what a snapshot was made for: a unit of a flow, or something that changes no row.
type Origin struct {
	Flow    string
	Seq     int64
	Unit    bool
	Neutral bool // upkeep, or a fence
}

// Request says what to do.
type Request struct {
	Policy Policy
	// Visible is the newest unit of each flow in the ledger. What is newer may be taken back, so its files and snapshots are left
	// alone, as are those of flows that are missing here.
	Visible map[string]int64
	// Pinned are the snapshots that readers are sent to.
	Pinned []Pin
	// Refresh reads Visible and Pinned anew, for what comes after the slow part of the work. It may be nil.
	Refresh func(ctx context.Context) (visible map[string]int64, pinned []Pin, err error)
	// Repin sends readers from a pin to another snapshot with the same rows, and tells whether it did. It may be nil.
	Repin func(ctx context.Context, p Pin, to int64) (bool, error)
	// Sweep looks for orphans, abandoned uploads and old versions, too: it lists every object.
	Sweep bool
	// DryRun reports what would be done, and does nothing.
	DryRun bool
	// Cache saves reading again what does not change, when the same process looks after a table often. It may be nil.
	Cache *Cache
}

// Pin is a snapshot at which a flow's rows are read; all rows, if no flow is named.
type Pin struct {
	Flow     string
	Snapshot int64
}

// Run does what is due, and reports it. It may be run at any time, by several processes at once, and again after it died. After an
// error the report tells what was done until then.
func Run(ctx context.Context, t Table, r Request) (Report, error) {
	started := time.Now()
	if r.Cache == nil {
		r.Cache = NewCache()
	}
	r.Pinned = slices.Clone(r.Pinned)
	k := &keeper{Table: t, Request: r, report: Report{Dataset: t.Name, DryRun: r.DryRun, Kept: []string{}}}
	err := k.run(ctx)
	k.report.Seconds = time.Since(started).Seconds()
	return k.report, err
}

// keeper is one run.
type keeper struct {
	Table
	Request
	report Report
}

func (k *keeper) run(ctx context.Context) error {
	if err := k.measure(ctx, before); err != nil {
		return err
	}
	if err := k.convert(ctx); err != nil {
		return err
	}
	if err := k.compact(ctx); err != nil {
		return err
	}
	if err := k.refresh(ctx); err != nil {
		return err
	}
	if err := k.repin(ctx); err != nil {
		return err
	}
	if err := k.expire(ctx); err != nil {
		return err
	}
	err := k.emptyTrash(ctx)
	if k.Sweep {
		err = errors.Join(err, k.sweep(ctx))
	}
	if err != nil {
		return err
	}
	return k.measure(ctx, after)
}

// refresh looks at the ledger before the table, so that units that are newer in the table are taken for open.
func (k *keeper) refresh(ctx context.Context) (err error) {
	if k.Refresh != nil {
		k.Visible, k.Pinned, err = k.Refresh(ctx)
	}
	return err
}

// errConflict says that somebody changed what upkeep was about to change.
var errConflict = errors.New("the dataset was changed meanwhile")

// attempts bounds how often upkeep starts over when others change the table. They come first: it gives up and tries at its next run.
const attempts = 5
