package zone_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// blob is an entry of a Puffin file's footer (Iceberg's Puffin spec).
type blob struct {
	Type       string            `json:"type"`
	Offset     int               `json:"offset"`
	Length     int               `json:"length"`
	Properties map[string]string `json:"properties"`
}

// vectorsIn reads the deletion vectors of a Puffin file: row positions by data file.
func vectorsIn(file []byte) (map[string][]uint64, error) {
	magic := []byte("PFA1")
	if !bytes.HasPrefix(file, magic) || !bytes.HasSuffix(file, magic) {
		return nil, fmt.Errorf("it begins with %q and ends with %q", file[:4], file[len(file)-4:])
	}
	size := int(binary.LittleEndian.Uint32(file[len(file)-12:]))
	var footer struct {
		Blobs []blob `json:"blobs"`
	}
	if err := json.Unmarshal(file[len(file)-12-size:len(file)-12], &footer); err != nil {
		return nil, err
	}
	out := map[string][]uint64{}
	for _, b := range footer.Blobs {
		positions, err := vectorIn(file[b.Offset : b.Offset+b.Length])
		of := b.Properties["referenced-data-file"]
		if err != nil || b.Type != "deletion-vector-v1" || b.Properties["cardinality"] != fmt.Sprint(len(positions)) || out[of] != nil {
			return nil, fmt.Errorf("blob %+v of %d positions: %w", b, len(positions), err)
		}
		out[of] = positions
	}
	return out, nil
}

// vectorIn reads a blob of type deletion-vector-v1.
func vectorIn(b []byte) ([]uint64, error) {
	body := b[4 : len(b)-4]
	if int(binary.BigEndian.Uint32(b)) != len(body) || !bytes.HasPrefix(body, []byte{0xd1, 0xd3, 0x39, 0x64}) {
		return nil, fmt.Errorf("length or magic is wrong: % x", b[:8])
	}
	if sum := binary.BigEndian.Uint32(b[len(b)-4:]); sum != crc32.ChecksumIEEE(body) {
		return nil, fmt.Errorf("checksum %x", sum)
	}
	r := &cursor{rest: body[4:]}
	var out []uint64
	for range r.take(8) {
		high := r.take(4) << 32
		for _, low := range roaringIn(r) {
			out = append(out, high|low)
		}
	}
	if len(r.rest) > 0 {
		return nil, fmt.Errorf("%d bytes are left", len(r.rest))
	}
	return out, nil
}

type cursor struct{ rest []byte }

func (c *cursor) take(bytes int) uint64 {
	var value uint64
	for i := range bytes {
		value |= uint64(c.rest[i]) << (8 * i)
	}
	c.rest = c.rest[bytes:]
	return value
}

// roaringIn reads a bitmap (the Roaring format spec).
func roaringIn(r *cursor) []uint64 {
	const withRuns = 12347
	cookie := r.take(4)
	containers, runs := int(cookie>>16)+1, []byte(nil)
	if cookie&0xffff == withRuns {
		runs, r.rest = r.rest[:(containers+7)/8], r.rest[(containers+7)/8:]
	} else {
		containers = int(r.take(4))
	}
	keys, counts := make([]uint64, containers), make([]int, containers)
	for i := range containers {
		keys[i], counts[i] = r.take(2)<<16, int(r.take(2))+1
	}
	if runs == nil || containers >= 4 {
		r.rest = r.rest[4*containers:] // offsets
	}
	var out []uint64
	for i := range containers {
		switch {
		case runs != nil && runs[i/8]>>(i%8)&1 == 1:
			for range r.take(2) {
				first, more := r.take(2), r.take(2)
				for v := first; v <= first+more; v++ {
					out = append(out, keys[i]|v)
				}
			}
		case counts[i] <= 4096:
			for range counts[i] {
				out = append(out, keys[i]|r.take(2))
			}
		default:
			for v := range uint64(1 << 16) {
				if r.rest[v/8]>>(v%8)&1 == 1 {
					out = append(out, keys[i]|v)
				}
			}
			r.rest = r.rest[1<<13:]
		}
	}
	return out
}

// The rows of the files, without those that the vectors name when they are read by the letter of the format, are those of the dataset.
func TestDeletionVectorsAreAsTheFormatSays(t *testing.T) {
	t.Parallel()
	d := createKeyed(t, zonetest.Open(t, server(t)), "processing.bank.accounts")
	first := edit{set: balances{}}
	for i := range int64(70_000) { // more than one container
		first.set[account{"x", i}] = 0
	}
	mustEdit(t, d, at("f", 1, 1), first)
	want := first.set
	p := tight()
	p.Convert, p.Compact.Off = 1, true
	for seq := int64(2); seq <= 7; seq++ {
		e := generation(seq)
		for i := range int64(1000) {
			e.gone = append(e.gone, account{"x", seq*7_000 + i*seq})
		}
		mustEdit(t, d, at("f", 1, seq), e)
		want = e.apply(want)
		keep(t, d, p, map[string]int64{"f": seq})
	}
	tbl, err := zone.LoadTable(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	files, vectors := stored(t, tbl)
	got := balances{}
	for _, f := range files {
		readBare(t, tbl, f, vectors[f.FilePath()], got)
	}
	if !maps.Equal(want, got) { // a difference of so many rows takes seconds to work out
		t.Error(cmp.Diff(want, got))
	}
}

// stored reads the manifests of the head, and the Puffin files that they name.
func stored(t *testing.T, tbl *table.Table) (files []iceberg.DataFile, vectors map[string][]uint64) {
	t.Helper()
	fs, err := tbl.FS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := tbl.CurrentSnapshot().Manifests(fs)
	if err != nil {
		t.Fatal(err)
	}
	vectors = map[string][]uint64{}
	for _, m := range manifests {
		for e, err := range m.Entries(fs, true) {
			if err != nil {
				t.Fatal(err)
			}
			f := e.DataFile()
			if f.ContentType() == iceberg.EntryContentData {
				files = append(files, f)
				continue
			}
			object, err := fs.Open(f.FilePath())
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(object)
			if err != nil {
				t.Fatal(err)
			}
			_ = object.Close()
			all, err := vectorsIn(content)
			if err != nil || f.FileFormat() != iceberg.PuffinFile || int64(len(all[*f.ReferencedDataFile()])) != f.Count() {
				t.Fatalf("%s: %v", f.FilePath(), err)
			}
			vectors[*f.ReferencedDataFile()] = all[*f.ReferencedDataFile()]
		}
	}
	return files, vectors
}

func readBare(t *testing.T, tbl *table.Table, f iceberg.DataFile, gone []uint64, into balances) {
	t.Helper()
	left := map[uint64]bool{}
	for _, position := range gone {
		left[position] = true
	}
	scan := tbl.Scan(table.WithSelectedFields("bank", "balance", "id"), table.WithMaxConcurrency(1))
	_, batches, err := scan.ReadTasks(t.Context(), []table.FileScanTask{{File: f, Length: f.FileSizeBytes()}})
	if err != nil {
		t.Fatal(err)
	}
	row := uint64(0)
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			if !left[row] {
				into[account{b.Column(0).(*array.String).Value(i), b.Column(2).(*array.Int64).Value(i)}] = b.Column(1).(*array.Int64).Value(i)
			}
			row++
		}
		b.Release()
	}
}
