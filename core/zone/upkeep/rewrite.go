package upkeep

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/zone/live"
	"github.com/qanat-data/qanat/core/zone/objects"
)

// bufferedBatches are read ahead of the writer.
const bufferedBatches = 2

// write writes the rows of each group into new files, in the order of the group's files. After an error nothing of it stays.
func (k *keeper) write(ctx context.Context, p plan, some [][]file) ([]iceberg.DataFile, error) {
	ctx, created := objects.WithCreated(ctx)
	var out []iceberg.DataFile
	for _, g := range some {
		files, err := k.writeGroup(ctx, p, g)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("dataset %q: put files together: %w", k.Name, err),
				k.remove(context.WithoutCancel(ctx), created.Names()))
		}
		out = append(out, files...)
	}
	return out, nil
}

func (k *keeper) writeGroup(ctx context.Context, p plan, g []file) ([]iceberg.DataFile, error) {
	tbl := p.tbl
	schema, err := table.SchemaToArrowSchema(tbl.Schema(), nil, true, false)
	if err != nil {
		return nil, err
	}
	var want, got int64
	exact := true
	parts := make([]live.Part, len(g))
	for i, f := range g {
		parts[i].Entry = f.entry
		want += f.entry.File.Count() - f.deleted
		exact = exact && len(p.survey.Applied(f.entry)) == 0
	}
	rows := live.Read(ctx, live.Request{
		Table: tbl, Survey: p.survey, Key: k.Key, Parts: parts, Schema: schema,
	})
	var out []iceberg.DataFile
	written := table.WriteRecords(ctx, tbl, schema, rows, table.WithTargetFileSize(k.Policy.Compact.Target),
		table.WithRecordBatchBufferSize(bufferedBatches), table.WithWriteUUID(k.FileID(tbl.Schema().ID, g[0].part)))
	for f, err := range written {
		if err != nil {
			return nil, err
		}
		out, got = append(out, f), got+f.Count()
	}
	if got > want || (exact && got < want) {
		return nil, fmt.Errorf("%d rows were read, %d written", want, got)
	}
	return out, nil
}
