// Package arrowfile reads files that are columns already: Parquet, and Arrow IPC as a file or a stream. Text formats are in
// csvfile and jsonfile.
package arrowfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/plugins/source-file/internal/text"
)

// Reads of column chunks are this large: over a network each is a request.
const (
	localRead  = 1 << 20
	remoteRead = 8 << 20
)

// Settings of a reader.
type Settings struct {
	Alloc     memory.Allocator
	BatchRows int
}

// Parquet implements block.Reader. It reads some rows of all columns at a time, never a whole row group.
type Parquet struct {
	settings Settings
	alloc    *block.Limited
	input    *input
	file     *file.Reader
	reader   *pqarrow.FileReader
	schema   *arrow.Schema
	rows     pqarrow.RecordReader
	rest     arrow.RecordBatch // read, but not handed on; or nil
	current  *rowsBlock
	mark     block.Mark
}

// OpenParquet reads the footer and goes to the mark.
func OpenParquet(ctx context.Context, f store.File, mark block.Mark, s Settings, read *atomic.Int64) (*Parquet, error) {
	in, err := openInput(ctx, f, read)
	if err != nil {
		return nil, err
	}
	p := &Parquet{settings: s, alloc: block.Limit(s.Alloc), input: in, mark: mark}
	if err := guard(func() error { return p.open(ctx, f) }); err != nil {
		_ = p.Close()
		return nil, in.prefer(err, mark.Row)
	}
	return p, nil
}

func (p *Parquet) open(ctx context.Context, f store.File) error {
	properties := parquet.NewReaderProperties(p.alloc)
	properties.BufferedStreamEnabled = true
	properties.BufferSize = remoteRead
	if f.Local() {
		properties.BufferSize = localRead
	}
	var err error
	if p.file, err = file.NewParquetReader(p.input, file.WithReadProps(properties)); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	p.reader, err = pqarrow.NewFileReader(p.file, pqarrow.ArrowReadProperties{BatchSize: p.batchRows()}, p.alloc)
	if err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	if p.schema, err = p.reader.Schema(); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	if err := column.Check(p.schema.Fields()); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	return p.seek(ctx)
}

// batchBytes is about how large a batch may be by what the footer says of the rows.
const batchBytes = 64 << 20

// batchRows is fewer rows where they are large or have many columns.
func (p *Parquet) batchRows() int64 {
	meta := p.file.MetaData()
	rows := min(int64(p.settings.BatchRows), block.MaxCells/int64(max(1, meta.Schema.NumColumns())))
	for i := range p.file.NumRowGroups() {
		group := meta.RowGroup(i)
		if n, size := group.NumRows(), group.TotalByteSize(); n > 0 && size > n {
			rows = min(rows, batchBytes/(size/n))
		}
	}
	return max(1, rows)
}

// seek prepares reading from the mark on, without touching the row groups before it.
func (p *Parquet) seek(ctx context.Context) error {
	var groups []int
	skipped := int64(0)
	for i := range p.file.NumRowGroups() {
		rows := p.file.MetaData().RowGroup(i).NumRows()
		if len(groups) == 0 && skipped+rows <= p.mark.Row {
			skipped += rows
			continue
		}
		groups = append(groups, i)
	}
	if len(groups) == 0 {
		return nil
	}
	var err error
	if p.rows, err = p.reader.GetRecordReader(ctx, nil, groups); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	return p.discard(p.mark.Row - skipped)
}

// discard reads rows of the mark's row group that were emitted before. The library's own seeking loses rows of nested columns.
func (p *Parquet) discard(n int64) error {
	for n > 0 {
		if !p.rows.Next() {
			return p.ended()
		}
		record := p.rows.RecordBatch()
		if record.NumRows() > n {
			p.rest = record.NewSlice(n, record.NumRows())
		}
		n -= record.NumRows()
	}
	return nil
}

// NumRows is the number of rows in the file.
func (p *Parquet) NumRows() int64 { return p.file.NumRows() }

// Fields implements block.Reader.
func (p *Parquet) Fields() []arrow.Field { return plainFields(p.schema) }

// Mark implements block.Reader.
func (p *Parquet) Mark() block.Mark { return p.mark }

// Next implements block.Reader.
func (p *Parquet) Next(context.Context) (block.Block, error) {
	p.drop()
	p.alloc.Reset()
	if p.rows == nil || p.mark.Row >= p.file.NumRows() {
		return nil, io.EOF
	}
	var record arrow.RecordBatch
	err := guard(func() error {
		if p.rest != nil {
			record, p.rest = p.rest, nil
			return nil
		}
		if !p.rows.Next() {
			return p.ended()
		}
		record = p.rows.RecordBatch()
		record.Retain()
		return nil
	})
	if err != nil {
		return nil, p.input.prefer(err, p.mark.Row)
	}
	p.current = &rowsBlock{record: record, first: p.mark.Row}
	p.mark.Row += record.NumRows()
	p.current.end = p.mark
	return p.current, nil
}

// ended says why there are no more rows though the footer promises some.
func (p *Parquet) ended() error {
	if err := p.rows.Err(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("parquet: %w", err)
	}
	return fmt.Errorf("parquet: %d rows, the footer says %d", p.mark.Row, p.file.NumRows())
}

func (p *Parquet) drop() {
	if p.current != nil {
		p.current.record.Release()
		p.current = nil
	}
}

// Close implements block.Reader.
func (p *Parquet) Close() error {
	p.drop()
	if p.rest != nil {
		p.rest.Release()
	}
	if p.rows != nil {
		p.rows.Release()
	}
	return p.input.Close()
}

// guard makes a fault of the file of what a library finds wrong with it, or panics with over it.
func guard(work func() error) error {
	return text.Broken(block.Guard(work), 0)
}
