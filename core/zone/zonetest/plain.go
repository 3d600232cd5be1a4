package zonetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	sqlcat "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"
)

// Plain is a table as a user of iceberg-go alone would write it: the library's defaults with zstd, no system columns, no marks. It
// is what benchmarks compare with.
type Plain struct {
	tbl *table.Table
}

// NewPlain makes a numbered table in a bucket of zones that are open in this process.
func NewPlain(ctx context.Context, db *sql.DB, bucket string, schema *arrow.Schema, number int) (*Plain, error) {
	cat, err := sqlcat.NewCatalog("plain", db, sqlcat.SQLite, iceberg.Properties{})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("rows%d", number)
	fields, err := table.ArrowSchemaToIcebergWithFreshIDs(schema, false)
	if err != nil {
		return nil, err
	}
	if err := cat.CreateNamespace(ctx, []string{"plain"}, nil); err != nil && !errors.Is(err, catalog.ErrNamespaceAlreadyExists) {
		return nil, err
	}
	tbl, err := cat.CreateTable(ctx, []string{"plain", name}, fields, catalog.WithLocation("s3://"+bucket+"/plain/"+name),
		catalog.WithProperties(iceberg.Properties{"write.parquet.compression-codec": "zstd"}))
	return &Plain{tbl: tbl}, err
}

// Unit writes batches by two parallel WriteRecords and one AddDataFiles, the faster of the library's ways.
func (p *Plain) Unit(ctx context.Context, batches []arrow.RecordBatch) error {
	var files [2][]iceberg.DataFile
	var failures [2]error
	var writers sync.WaitGroup
	half := len(batches) / 2
	for i, part := range [][]arrow.RecordBatch{batches[:half], batches[half:]} {
		writers.Go(func() { files[i], failures[i] = write(ctx, p.tbl, part) })
	}
	writers.Wait()
	if err := errors.Join(failures[:]...); err != nil {
		return err
	}
	tx := p.tbl.NewTransaction()
	if err := tx.AddDataFiles(ctx, append(files[0], files[1]...), nil); err != nil {
		return err
	}
	next, err := tx.Commit(ctx)
	if err == nil {
		p.tbl = next
	}
	return err
}

func write(ctx context.Context, tbl *table.Table, batches []arrow.RecordBatch) ([]iceberg.DataFile, error) {
	feed := func(yield func(arrow.RecordBatch, error) bool) {
		for _, batch := range batches {
			batch.Retain()
			if !yield(batch, nil) {
				return
			}
		}
	}
	var files []iceberg.DataFile
	for f, err := range table.WriteRecords(ctx, tbl, batches[0].Schema(), feed) {
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}
