package zone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/zone/upkeep"
)

// Upkeep puts small files together, lets old snapshots go and removes what nothing refers to, as far as the policy says. It is safe
// beside writers and readers in this and other processes, and changes no row.
func (d *Dataset) Upkeep(ctx context.Context, r upkeep.Request) (upkeep.Report, error) {
	return upkeep.Run(d.zones.arrowContext(ctx), d.upkeepTable(), r)
}

func (d *Dataset) upkeepTable() upkeep.Table {
	t := upkeep.Table{
		Name: d.name.String(), Location: d.location, Objects: d.zones.client, Log: d.zones.logger,
		Load: d.load, Lock: func() func() { return d.zones.lock(d.name) }, Commit: d.commitTable,
		Marks: upkeepMarks, Origin: origin, FileID: fileID, Part: partOf, SeqColumn: ColumnSeq, Key: d.key,
	}
	if d.hasFlow() {
		t.FlowColumn = ColumnFlow
	}
	return t
}

// Commits counts the snapshots that the dataset ever had, those of upkeep among them.
func (d *Dataset) Commits(ctx context.Context) (int64, error) {
	tbl, err := d.load(ctx)
	if err != nil {
		return 0, err
	}
	return tbl.Metadata().LastSequenceNumber(), nil
}

func (d *Dataset) commitTable(ctx context.Context, r []table.Requirement, u []table.Update) (table.Metadata, error) {
	meta, _, err := d.zones.catalog.CommitTable(ctx, d.name.identifier(), r, u)
	return meta, err
}

// upkeepMarks carry every flow's mark on and name no unit.
func upkeepMarks(head *table.Snapshot) (iceberg.Properties, error) {
	s, err := snapshotOf(head)
	if err != nil {
		return nil, err
	}
	return carried(s, KindUpkeep), nil
}

func origin(s *table.Snapshot) (upkeep.Origin, error) {
	own, err := snapshotOf(s)
	if err != nil {
		return upkeep.Origin{}, err
	}
	return upkeep.Origin{
		Flow: own.Mark.Flow, Seq: own.Mark.Seq, Unit: own.Mark.Flow != "" && (own.Kind == "" || own.Kind == KindReplay),
		Neutral: own.Kind == KindUpkeep || own.Kind == KindFence,
	}, nil
}

// looks bounds how often a reader starts over because upkeep removed metadata that it was about to read.
const looks = 5

// look runs do on the table, and again on a newer state of it if do failed for want of metadata that is gone by now.
func (d *Dataset) look(ctx context.Context, do func(*table.Table) error) error {
	var failure error
	for range looks {
		tbl, err := d.load(ctx)
		if err != nil {
			return err
		}
		if failure = do(tbl); !errors.Is(failure, fs.ErrNotExist) {
			return failure
		}
		now, err := d.load(ctx)
		if err != nil || now.MetadataLocation() == tbl.MetadataLocation() {
			return failure
		}
	}
	return fmt.Errorf("gave up after %d attempts: %w", looks, failure)
}
