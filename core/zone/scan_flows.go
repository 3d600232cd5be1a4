package zone

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go/table"
)

// scanFlows reads the rows of each flow at a snapshot of its own, one flow after the other. What is committed of one flow is so read
// apart from what others have done since, and all of it with the dataset's newest schema.
func (d *Dataset) scanFlows(ctx context.Context, tbl *table.Table, r ScanRequest) (*arrow.Schema, Batches, error) {
	schema, err := scanSchema(tbl, nil, r.Columns)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset %q: %w", d.name, err)
	}
	p := scanPlan{tbl: tbl, schema: schema, flowColumn: d.hasFlow(), newest: true, manifests: d.zones.manifests, options: []table.ScanOption{
		table.WithMaxConcurrency(1), table.WithArrowBatchSize(scanBatchRows), table.WithSelectedFields(names(schema)...),
	}}
	byFlow := map[string][]UnitRange{}
	for _, u := range r.Units {
		byFlow[u.Flow] = append(byFlow[u.Flow], u)
	}
	var parts []Batches
	for _, flow := range slices.Sorted(maps.Keys(byFlow)) {
		id, known := r.Snapshots[flow]
		if !known {
			continue
		}
		if p.at, err = d.snapshotFor(tbl, id, ""); err != nil {
			return nil, nil, err
		}
		batches, err := p.read(ctx, byFlow[flow])
		if err != nil {
			return nil, nil, fmt.Errorf("dataset %q: scan: %w", d.name, err)
		}
		parts = append(parts, batches)
	}
	return schema, joined(parts), nil
}

func joined(parts []Batches) Batches {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, batches := range parts {
			for b, err := range batches {
				if !yield(b, err) || err != nil {
					return
				}
			}
		}
	}
}
