package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
)

// bench is a check in a test; every byte of its batches must be freed at the end.
type bench struct {
	*check
	alloc   *memory.CheckedAllocator
	scratch string
}

func start(t *testing.T, c Config) *bench {
	t.Helper()
	b := &bench{alloc: memory.NewCheckedAllocator(memory.NewGoAllocator()), scratch: t.TempDir()}
	made, err := New(t.Context(), c, sdk.Env{Log: hclog.NewNullLogger(), Alloc: b.alloc, Scratch: b.scratch})
	if err != nil {
		t.Fatal(err)
	}
	b.check = made
	t.Cleanup(func() {
		if err := made.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(b.scratch); err != nil || len(left) > 0 {
			t.Errorf("left in the scratch folder: %v %v", left, err)
		}
		b.alloc.AssertSize(t, 0)
	})
	return b
}

func (b *bench) plan(t *testing.T, schema *arrow.Schema) {
	t.Helper()
	if err := b.Plan(t.Context(), sdk.SchemaChange{Stream: "orders", Version: 1, Schema: schema}); err != nil {
		t.Fatal(err)
	}
}

// rows judges rows written as JSON and gives the findings, one a line.
func (b *bench) rows(t *testing.T, schema *arrow.Schema, rows string) string {
	t.Helper()
	record, _, err := array.RecordFromJSON(b.alloc, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	return b.judge(t, record)
}

func (b *bench) judge(t *testing.T, record arrow.RecordBatch) string {
	t.Helper()
	findings, err := b.Rows(t.Context(), sdk.Batch{Stream: "orders", Record: record})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range findings {
		line := fmt.Sprintf("%d %s %s: %s", f.Row, f.Column, f.Code, f.Reason)
		if f.Warning {
			line += " (warning)"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (b *bench) result(t *testing.T) sdk.CheckResult {
	t.Helper()
	result, err := b.Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func columns(fields ...arrow.Field) *arrow.Schema { return arrow.NewSchema(fields, nil) }

func nullable(name string, kind arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: kind, Nullable: true}
}

// write keeps a contract in a file of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "contract.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func data(t *testing.T, name string) *os.File {
	t.Helper()
	folder := os.Getenv("QANAT_TEST_DATA")
	if folder == "" {
		folder = "../../../shared/data"
	}
	file, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		t.Skipf("the folder of test data isn't there: %v", err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}
