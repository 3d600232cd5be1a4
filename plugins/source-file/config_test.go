package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
)

func TestSettingsFaultsNameTheirPlace(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string][]string{
		`{}`: {"/path"},
		`{"path": "a.csv", "streams": [{"name": "s", "path": "b.csv"}]}`: {"/streams"},
		`{"stream": "x", "streams": [{"name": "s", "path": "b.csv"}]}`:   {"/stream"},
		`{"path": "a.csv", "stream": "Not good"}`:                        {"/stream"},
		`{"path": ["", "http://x/y", "s3://b*/k", "s3://b", "a[.csv"]}`:  {"/path", "/path", "/path", "/path", "/path"},
		`{"path": "a.csv", "columns": {"a": "varchar", "b": "decimal(40,2)", "c": "struct<x>", "d": "list<what>"}}`: {
			"/columns/a", "/columns/b", "/columns/c", "/columns/d",
		},
		`{"path": "a.csv", "csv": {"delimiter": ";;", "comment": "é", "quote": ",,"}}`: {"/csv/delimiter", "/csv/comment", "/csv/quote"},
		`{"path": "a.csv", "csv": {"delimiter": "\""}}`:                                {"/csv/delimiter"},
		`{"path": "a.csv", "csv": {"names": ["a", "A"]}}`:                              {"/csv/names/1"},
		`{"streams": [{"name": "s", "path": "a"}, {"name": "s"}]}`:                     {"/streams/1/name", "/streams/1/path"},
	} {
		var c Config
		if err := json.Unmarshal([]byte(settings), &c); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, faultPaths(c.Validate())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", settings, diff)
		}
	}
}

func faultPaths(err error) []string {
	var paths []string
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, fault := range joined.Unwrap() {
		if typed, ok := errors.AsType[*sdk.Error](fault); ok {
			paths = append(paths, typed.Path)
		}
	}
	return paths
}

// TestSchemaOfTheSettingsDecodes goes through the SDK, which makes the schema and applies the defaults.
func TestSchemaOfTheSettingsDecodes(t *testing.T) {
	t.Parallel()
	component := sdk.SourceOf(New)
	if fmt.Sprintf("%+v", component) == "" {
		t.Fatal("no component")
	}
	s, err := New(t.Context(), Config{Files: Files{Path: Paths{"s3://b/k"}}}, sdk.Env{Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStreamNamesComeFromPaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"data/Orders 2024.csv.gz": "orders_2024", "data/*.csv": "data", "*.csv": "files", "s3://bucket/shop/**/*.parquet": "shop",
		"s3://bucket/x.json": "x", "./2024/01.csv": "f_01", "../data/orders/": "orders", "/tmp/{a,b}.csv": "tmp", "s3://My-Bucket/*.csv": "my_bucket",
	} {
		if got := nameOf(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
