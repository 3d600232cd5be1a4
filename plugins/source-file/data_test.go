package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// realData finds a file of real data, which is not part of the project.
func realData(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("QANAT_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		t.Skipf("there is no folder with real data; set QANAT_TEST_DATA (%v)", err)
	}
	return path
}

func TestRealFiles(t *testing.T) { //nolint:paralleltest // the S3 test changes the working directory
	for name, want := range map[string]struct {
		rows   int64
		schema string
	}{
		"zipcodes.csv": {42_049, "zip_code string, latitude float64, longitude float64, city string, state string, county string"},
		"airports.csv": {3_376, "iata string, name string, city string, state string, country string, latitude float64, longitude float64"},
		"weather.csv":  {2_922, "location string, date date, precipitation float64, temp_max float64, temp_min float64, wind float64, weather string"},
		"flights-3m.parquet": {3_000_000,
			"date timestamp_ntz, delay int64, distance int64, origin string, destination string"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(t, fmt.Sprintf(`{"path": %q, "stream": "s"}`, realData(t, name)))
			streams, err := s.Streams(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.schema, schemaText(streams[0].Schema)); diff != "" {
				t.Errorf("schema (-want +got):\n%s", diff)
			}
			rec := &counter{}
			if err := s.Read(t.Context(), sdk.ReadRequest{}, rec); err != nil {
				t.Fatal(err)
			}
			if rec.rows != want.rows || len(rec.Rejections) > 0 {
				t.Errorf("%d rows, want %d; rejections %v", rec.rows, want.rows, rejects(&rec.Recorder))
			}
		})
	}
}

func TestLeadingZerosOfRealPostalCodesStay(t *testing.T) { //nolint:paralleltest // the S3 test changes the working directory
	rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q}`, realData(t, "zipcodes.csv"))), nil)
	if got := rec.Records("zipcodes")[0].Column(0).(*array.String).Value(0); got != "00501" {
		t.Errorf("the first code is %q, want %q", got, "00501")
	}
}

// counter counts rows without keeping them, for reads of one file.
type counter struct {
	plugintest.Recorder
	rows int64
	last sdk.Progress
}

func (c *counter) Batch(ctx context.Context, b sdk.Batch) error {
	c.rows += b.Record.NumRows()
	b.Record.Release()
	return ctx.Err()
}

func (c *counter) Progress(p sdk.Progress) { c.last = p }
