package main

import (
	"context"
	"path"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/plugins/source-file/internal/arrowfile"
	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/plugins/source-file/internal/csvfile"
	"github.com/qanat-data/qanat/plugins/source-file/internal/jsonfile"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/plugins/source-file/internal/text"
	"github.com/qanat-data/qanat/sdk"
)

// Formats.
const (
	formatAuto    = "auto"
	formatCSV     = "csv"
	formatTSV     = "tsv"
	formatJSONL   = "jsonl"
	formatJSON    = "json"
	formatParquet = "parquet"
	formatArrow   = "arrow"
)

// kind is how a file is written, by the settings and its name.
type kind struct {
	format string
	layers text.Layers
}

func (f Files) kindOf(name string) (kind, error) {
	layers, rest := text.LayersOf(name, f.Compression, f.Encoding)
	k := kind{format: f.Format, layers: layers}
	if k.format == "" || k.format == formatAuto {
		k.format = formatByName(rest)
	}
	switch k.format {
	case "":
		return k, sdk.ConfigError("/format", "%q: its name says no format; set format to csv, tsv, jsonl, json, parquet or arrow", name)
	case formatParquet, formatArrow:
		if layers.Compression != text.None {
			return k, sdk.ConfigError("/compression", "%q: %s files are compressed inside, not as a whole", name, k.format)
		}
	}
	return k, nil
}

func formatByName(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".csv":
		return formatCSV
	case ".tsv", ".tab":
		return formatTSV
	case ".jsonl", ".ndjson", ".jsonlines":
		return formatJSONL
	case ".json":
		return formatJSON
	case ".parquet", ".pq":
		return formatParquet
	case ".arrow", ".arrows", ".feather", ".ipc":
		return formatArrow
	}
	return ""
}

// appendable says whether records may be added to a file at its end.
func (k kind) appendable(f store.File) bool {
	return f.Local() && k.layers.Seekable() && (k.format == formatCSV || k.format == formatTSV || k.format == formatJSONL)
}

// opening is what it takes to open a file.
type opening struct {
	files     Files
	declared  column.Declared
	batchRows int
	alloc     memory.Allocator
	known     *arrow.Schema // columns that need no inference, if not nil
	holdTail  bool          // leave a last line without its end
	read      *atomic.Int64
}

func (o opening) open(ctx context.Context, f store.File, mark block.Mark) (block.Reader, error) {
	k, err := o.files.kindOf(f.Path)
	if err != nil {
		return nil, err
	}
	switch k.format {
	case formatParquet:
		return reader(arrowfile.OpenParquet(ctx, f, mark, arrowfile.Settings{Alloc: o.alloc, BatchRows: o.batchRows}, o.read))
	case formatArrow:
		return reader(arrowfile.OpenIPC(ctx, f, mark, arrowfile.Settings{Alloc: o.alloc, BatchRows: o.batchRows}, o.read))
	case formatCSV, formatTSV:
		return reader(csvfile.Open(ctx, f, mark, o.csv(k, f), o.read))
	}
	return reader(jsonfile.Open(ctx, f, mark, o.json(k, f), o.read))
}

// reader keeps a nil pointer from becoming an interface that is not nil.
func reader[R block.Reader](r R, err error) (block.Reader, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (o opening) csv(k kind, f store.File) csvfile.Settings {
	c := o.files.CSV
	return csvfile.Settings{
		Dialect: csvfile.Dialect{Delimiter: c.delimiter(k.format), Quote: c.quote(), Comment: c.comment(), Lazy: c.Lazy},
		Layers:  k.layers, Header: c.header(), Names: c.Names, SkipRows: c.SkipRows, Nulls: c.NullValues, Declared: o.declared, Known: o.known,
		AllStrings: o.files.Infer.AllStrings, SampleRows: or(o.files.Infer.Rows, defaultSample), BatchRows: o.batchRows,
		HoldTail: o.holdTail && k.appendable(f),
	}
}

func (o opening) json(k kind, f store.File) jsonfile.Settings {
	return jsonfile.Settings{
		Layers: k.layers, Lines: k.format == formatJSONL, Declared: o.declared, Known: o.known,
		AllStrings: o.files.Infer.AllStrings, SampleRows: or(o.files.Infer.Rows, defaultSample), BatchRows: o.batchRows,
		HoldTail: o.holdTail && k.appendable(f), Repeated: o.files.JSON.Repeated,
	}
}

const defaultSample = 10_000
