package zone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Dataset is one table. Schema, UUID and Location are those of the moment it was
// opened or last evolved through it; every operation that depends on the table's
// state loads it afresh. It is safe for concurrent use.
type Dataset struct {
	zones     *Zones
	name      Name
	full      *arrow.Schema
	user      *arrow.Schema
	key       []string
	sourceKey []string
	uuid      string
	location  string
	head      Snapshot
}

func newDataset(z *Zones, n Name, tbl *table.Table) (*Dataset, error) {
	full, err := plainSchema(tbl.Schema())
	if err != nil {
		return nil, fmt.Errorf("dataset %q: %w", n, err)
	}
	head, err := snapshotOf(tbl.CurrentSnapshot())
	if err != nil {
		return nil, fmt.Errorf("dataset %q: %w", n, err)
	}
	_, key := keyOf(tbl)
	return &Dataset{
		zones: z, name: n, full: full, user: userSchema(full), key: key, sourceKey: sourceKeyOf(tbl),
		uuid: tbl.Metadata().TableUUID().String(), location: tbl.Location(), head: head,
	}, nil
}

// plainSchema is the Arrow form of a table's schema without field ids.
func plainSchema(s *iceberg.Schema) (*arrow.Schema, error) {
	return table.SchemaToArrowSchema(s, nil, false, false)
}

// Name is the dataset's name.
func (d *Dataset) Name() Name { return d.name }

// Schema holds the user columns.
func (d *Dataset) Schema() *arrow.Schema { return d.user }

// FullSchema holds the user columns and, at the end, the system columns.
func (d *Dataset) FullSchema() *arrow.Schema { return d.full }

// UUID identifies the table; it changes when a dataset is dropped and made again.
func (d *Dataset) UUID() string { return d.uuid }

// Location is the folder of the table, as s3://bucket/key.
func (d *Dataset) Location() string { return d.location }

// Head is the newest snapshot of main when the dataset was opened, or the zero
// Snapshot if there was none. Reload to see a newer one.
func (d *Dataset) Head() Snapshot { return d.head }

// Mark is how far a flow had come on main when the dataset was opened. Reload after
// a fence, and before trusting it.
func (d *Dataset) Mark(flow string) (Mark, bool) {
	m, ok := d.head.marks[flow]
	return m, ok
}

// Reload opens the dataset again.
func (d *Dataset) Reload(ctx context.Context) (*Dataset, error) { return d.zones.Dataset(ctx, d.name) }

// load reads the table. Its metadata may be replaced and removed between asking the catalog where it is and reading it.
func (d *Dataset) load(ctx context.Context) (*table.Table, error) {
	tbl, err := d.zones.load(ctx, d.name)
	for try := 1; try < looks && errors.Is(err, fs.ErrNotExist); try++ {
		tbl, err = d.zones.load(ctx, d.name)
	}
	return tbl, err
}

// tip is the snapshot that a commit on the branch follows: the branch's own, or
// main's when the branch doesn't exist yet.
func tip(tbl *table.Table, branch string) *table.Snapshot {
	if branch != table.MainBranch {
		if s := tbl.SnapshotByName(branch); s != nil {
			return s
		}
	}
	return tbl.CurrentSnapshot()
}

// ancestors walks from a snapshot to the oldest that is kept.
func ancestors(tbl *table.Table, from *table.Snapshot) []*table.Snapshot {
	var out []*table.Snapshot
	for s := from; s != nil; {
		out = append(out, s)
		if s.ParentSnapshotID == nil {
			break
		}
		s = tbl.SnapshotByID(*s.ParentSnapshotID)
	}
	return out
}
