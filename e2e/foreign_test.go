package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/linkedin/goavro/v2"
	"github.com/minio/minio-go/v7"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/qanat-data/qanat/e2e/rig"
)

// A reader that shares no code with Qanat, neither its Iceberg nor its Parquet library, finds the rows that qanat query shows.
func TestForeignReaderSeesTheSameRows(t *testing.T) {
	t.Parallel()
	p, server := shop(t), rig.MinIO(t)
	use(t, p, server.Objects(), server.Env())
	p.Must("run", "shop")
	// A second run appends to some datasets and overwrites another, so that not every file that lies there is live.
	more := "order_id,customer_id,ordered_at,status,quantity,unit_price\n90001,C0001,2026-04-01T00:00:00Z,paid,3,1.10\n"
	if err := os.WriteFile(filepath.Join(p.Dir, "data", "orders-2026-04.csv"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Must("run", "shop")
	reader := &foreign{t: t, client: server.Client(t)}
	for _, dataset := range shopDatasets {
		ours := queried(t, p, dataset)
		if len(ours) == 0 {
			t.Errorf("%s: qanat query shows no rows", dataset)
		}
		if diff := cmp.Diff(ours, reader.rows(dataset)); diff != "" {
			t.Errorf("%s (- qanat query, + foreign reader):\n%s", dataset, diff)
		}
	}
	if live, all := reader.live, reader.listed; live >= all {
		t.Errorf("%d of %d data files are live: nothing was overwritten", live, all)
	}
}

// queried are a dataset's rows by qanat query -o json, each as sorted column=value pairs.
func queried(t *testing.T, p *rig.Project, dataset string) []string {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(p.Must("query", "-o", "json", "from "+dataset)))
	decoder.UseNumber()
	var answer []map[string]any
	if err := decoder.Decode(&answer); err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(answer))
	for i, row := range answer {
		cells := map[string]string{}
		flatten(cells, "", row)
		lines[i] = line(cells)
	}
	slices.Sort(lines)
	return lines
}

// flatten names the fields of structs by their path, as Parquet does.
func flatten(cells map[string]string, prefix string, row map[string]any) {
	for name, value := range row {
		switch v := value.(type) {
		case map[string]any:
			flatten(cells, prefix+name+".", v)
		case nil:
			cells[prefix+name] = "null"
		default:
			cells[prefix+name] = fmt.Sprint(v)
		}
	}
}

func line(cells map[string]string) string {
	pairs := make([]string, 0, len(cells))
	for _, name := range slices.Sorted(maps.Keys(cells)) {
		pairs = append(pairs, name+"="+cells[name])
	}
	return strings.Join(pairs, " | ")
}

// foreign reads Iceberg tables in a bucket by the specification (https://iceberg.apache.org/spec/), without a catalog.
type foreign struct {
	t            *testing.T
	client       *minio.Client
	live, listed int // data files
}

// rows are a dataset's rows in the form of queried.
func (f *foreign) rows(dataset string) []string {
	f.t.Helper()
	zone, rest, _ := strings.Cut(dataset, ".")
	bucket := "qanat-" + zone
	metadata := f.metadata(bucket, strings.Replace(rest, ".", "/", 1)+"-")
	var lines []string
	for _, file := range f.files(metadata) {
		lines = append(lines, f.parquet(file)...)
	}
	slices.Sort(lines)
	return lines
}

// tableMetadata is what this reader needs of a metadata file.
type tableMetadata struct {
	FormatVersion   int   `json:"format-version"`
	CurrentSnapshot int64 `json:"current-snapshot-id"`
	Snapshots       []struct {
		ID           int64  `json:"snapshot-id"`
		ManifestList string `json:"manifest-list"`
	} `json:"snapshots"`
}

// metadata reads the newest metadata file of the one table below a prefix: the one with the highest version in its name.
func (f *foreign) metadata(bucket, prefix string) tableMetadata {
	f.t.Helper()
	var newest string
	for o := range f.client.ListObjects(f.t.Context(), bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			f.t.Fatal(o.Err)
		}
		switch {
		case strings.HasSuffix(o.Key, ".metadata.json"):
			if newest == "" || path.Base(o.Key) > path.Base(newest) {
				newest = o.Key
			}
		case strings.HasSuffix(o.Key, ".parquet"):
			f.listed++
		}
	}
	if newest == "" {
		f.t.Fatalf("there is no metadata file below %s/%s", bucket, prefix)
	}
	var m tableMetadata
	if err := json.Unmarshal(f.plain(newest, f.get(bucket, newest)), &m); err != nil {
		f.t.Fatalf("%s: %v", newest, err)
	}
	if m.FormatVersion != 2 {
		f.t.Fatalf("%s: format version %d, expected 2", newest, m.FormatVersion)
	}
	return m
}

// plain undoes the compression that a metadata file's name tells.
func (f *foreign) plain(name string, packed []byte) []byte {
	f.t.Helper()
	var r io.Reader = bytes.NewReader(packed)
	var err error
	switch {
	case strings.Contains(name, ".zstd."):
		decoder, newErr := zstd.NewReader(r)
		if newErr == nil {
			defer decoder.Close()
		}
		r, err = decoder, newErr
	case strings.Contains(name, ".gz."):
		r, err = gzip.NewReader(r)
	}
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	return text
}

// What manifest lists and manifests say of their entries.
const (
	contentData   = 0
	statusDeleted = 2
)

// files are the live data files of the current snapshot.
func (f *foreign) files(m tableMetadata) []string {
	f.t.Helper()
	var files []string
	for _, snapshot := range m.Snapshots {
		if snapshot.ID != m.CurrentSnapshot {
			continue
		}
		for _, manifest := range f.avro(snapshot.ManifestList) {
			if content := number(manifest["content"]); content != contentData {
				f.t.Fatalf("%s: delete manifests are not expected here", snapshot.ManifestList)
			}
			location, _ := manifest["manifest_path"].(string)
			files = append(files, f.entries(location)...)
		}
	}
	f.live += len(files)
	return files
}

func (f *foreign) entries(manifest string) []string {
	f.t.Helper()
	var files []string
	for _, entry := range f.avro(manifest) {
		file, ok := entry["data_file"].(map[string]any)
		if !ok {
			f.t.Fatalf("%s: an entry without a data file: %v", manifest, entry)
		}
		location, _ := file["file_path"].(string)
		if format, _ := file["file_format"].(string); !strings.EqualFold(format, "parquet") {
			f.t.Fatalf("%s: file %q is in format %q", manifest, location, format)
		}
		if number(entry["status"]) != statusDeleted {
			files = append(files, location)
		}
	}
	return files
}

// avro reads all records of an Avro file at an s3 address.
func (f *foreign) avro(address string) []map[string]any {
	f.t.Helper()
	r, err := goavro.NewOCFReader(bytes.NewReader(f.address(address)))
	if err != nil {
		f.t.Fatalf("%s: %v", address, err)
	}
	var records []map[string]any
	for r.Scan() {
		record, err := r.Read()
		if err != nil {
			f.t.Fatalf("%s: %v", address, err)
		}
		fields, ok := record.(map[string]any)
		if !ok {
			f.t.Fatalf("%s: a %T, expected a record", address, record)
		}
		records = append(records, fields)
	}
	if err := r.Err(); err != nil {
		f.t.Fatalf("%s: %v", address, err)
	}
	return records
}

func number(v any) int64 {
	switch v := v.(type) {
	case int32:
		return int64(v)
	case int64:
		return v
	}
	return -1
}

func (f *foreign) address(s3 string) []byte {
	f.t.Helper()
	bucket, key, ok := strings.Cut(strings.TrimPrefix(s3, "s3://"), "/")
	if !ok {
		f.t.Fatalf("%q is no address of an object", s3)
	}
	return f.get(bucket, key)
}

func (f *foreign) get(bucket, key string) []byte {
	f.t.Helper()
	o, err := f.client.GetObject(f.t.Context(), bucket, key, minio.GetObjectOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = o.Close() }()
	data, err := io.ReadAll(o)
	if err != nil {
		f.t.Fatalf("%s/%s: %v", bucket, key, err)
	}
	return data
}

// parquet reads the rows of a Parquet file whose columns do not repeat.
func (f *foreign) parquet(address string) []string {
	f.t.Helper()
	data := f.address(address)
	file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		f.t.Fatalf("%s: %v", address, err)
	}
	columns := file.Schema().Columns()
	var lines []string
	for _, group := range file.RowGroups() {
		rows := group.Rows()
		buffer := make([]parquet.Row, 256)
		for {
			n, err := rows.ReadRows(buffer)
			for _, row := range buffer[:n] {
				cells := map[string]string{}
				for _, value := range row {
					column := columns[value.Column()]
					leaf, _ := file.Schema().Lookup(column...)
					cells[strings.Join(column, ".")] = cell(leaf.Node.Type(), value)
				}
				lines = append(lines, line(cells))
			}
			if err == io.EOF { //nolint:errorlint // what the interface returns
				break
			}
			if err != nil {
				f.t.Fatalf("%s: %v", address, err)
			}
		}
		if err := rows.Close(); err != nil {
			f.t.Fatal(err)
		}
	}
	return lines
}

// cell writes a value as qanat query -o json does.
func cell(kind parquet.Type, v parquet.Value) string {
	if v.IsNull() {
		return "null"
	}
	var logical format.LogicalTypeValue
	if l := kind.LogicalType(); l != nil {
		logical = l.Value
	}
	switch of := logical.(type) {
	case *format.StringType:
		return string(v.ByteArray())
	case *format.DecimalType:
		return decimal(v, int(of.Scale))
	case *format.DateType:
		return time.Unix(int64(v.Int32())*24*60*60, 0).UTC().Format(time.DateOnly)
	case *format.TimestampType:
		text := time.UnixMicro(v.Int64()).UTC().Format("2006-01-02T15:04:05.999999999")
		if of.IsAdjustedToUTC {
			text += "Z"
		}
		return text
	}
	switch v.Kind() {
	case parquet.Int32, parquet.Int64:
		return strconv.FormatInt(v.Int64(), 10)
	case parquet.ByteArray:
		return base64.StdEncoding.EncodeToString(v.ByteArray())
	}
	return v.String()
}

func decimal(v parquet.Value, scale int) string {
	unscaled := big.NewInt(0)
	switch v.Kind() {
	case parquet.Int32, parquet.Int64:
		unscaled.SetInt64(v.Int64())
	default:
		unscaled.SetBytes(v.ByteArray())
		if b := v.ByteArray(); len(b) > 0 && b[0] >= 0x80 {
			unscaled.Sub(unscaled, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
	}
	return new(big.Rat).SetFrac(unscaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(scale)
}
