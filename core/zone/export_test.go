package zone

import (
	"context"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/zone/upkeep"
)

// LoadTable gives tests the Iceberg table, to act as upkeep or a foreign writer.
func LoadTable(ctx context.Context, d *Dataset) (*table.Table, error) { return d.load(ctx) }

// ScanHolding scans the head of a dataset with a key, holding so many keys in memory.
func ScanHolding(ctx context.Context, d *Dataset, mostKeys int64) (Batches, error) {
	tbl, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	p := scanPlan{tbl: tbl, at: tbl.CurrentSnapshot(), schema: d.user, flowColumn: d.hasFlow(), mostKeys: mostKeys}
	if p.at == nil {
		return func(func(arrow.RecordBatch, error) bool) {}, nil
	}
	batches, _, err := p.live(ctx, nil)
	return batches, err
}

// PlainTable makes a table as a user of iceberg-go would: the library's defaults,
// with zstd, and no system columns.
func PlainTable(tb testing.TB, z *Zones, beside *Dataset, schema *arrow.Schema) *table.Table {
	tb.Helper()
	sc, err := table.ArrowSchemaToIcebergWithFreshIDs(schema, false)
	if err != nil {
		tb.Fatal(err)
	}
	n := beside.Name()
	n.Dataset += "_plain"
	tbl, err := z.catalog.CreateTable(tb.Context(), n.identifier(), sc,
		catalog.WithLocation(z.location(n)),
		catalog.WithProperties(iceberg.Properties{"write.parquet.compression-codec": "zstd"}))
	if err != nil {
		tb.Fatal(err)
	}
	return tbl
}

// Beside opens a dataset on zones that share nothing but server and catalog with its own, as another process would.
func Beside(ctx context.Context, d *Dataset) (*Dataset, error) {
	z := &Zones{client: d.zones.client, catalog: d.zones.catalog, logger: d.zones.logger, alloc: d.zones.alloc, locks: map[Name]*sync.Mutex{}}
	return z.Dataset(ctx, d.name)
}

// UpkeepTable is the table of a dataset as upkeep sees it, for tests that come between its steps.
func UpkeepTable(d *Dataset) upkeep.Table { return d.upkeepTable() }
