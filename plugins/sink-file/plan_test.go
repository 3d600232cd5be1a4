package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

func TestPlanningHasNoEffects(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Overwrite, func(*Config) {})
	s := g.open(nil)
	opened, err := s.Open(t.Context(), sdk.OpenRequest{Flow: "shop/orders", Mode: sdk.Overwrite})
	if err != nil {
		t.Fatal(err)
	}
	want := sdk.Opened{Guarantee: sdk.ExactlyOnce, External: sdk.ExternalDataset{Namespace: "file", Name: g.config.Path}}
	if diff := cmp.Diff(want, opened); diff != "" {
		t.Error(diff)
	}
	change := sdk.SchemaChange{Stream: "orders", Version: 1, Schema: orders}
	plan := func() []sdk.Action {
		t.Helper()
		actions, err := g.open(nil).PlanSchema(t.Context(), change)
		if err != nil {
			t.Fatal(err)
		}
		return actions
	}
	first := []sdk.Action{
		{Object: g.config.Path, Description: "create the folder"},
		{
			Object:      filepath.Join(g.config.Path, "orders/shop%2Forders-*.jsonl"),
			Description: "write jsonl files (compression none) with columns id int64, note utf8",
		},
	}
	if diff := cmp.Diff(first, plan()); diff != "" {
		t.Error(diff)
	}
	if err := s.ApplySchema(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(g.config.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("planning made the folder: %v", err)
	}
	s, _ = g.begin(1)
	g.write(s, "orders", 1, rows(1, 1))
	g.commit(s, mark(1, 1))
	later := []sdk.Action{first[1], {
		Object: g.config.Path, Destructive: true, Description: `each unit replaces all earlier files of flow "shop/orders"; 1 now`,
	}}
	if diff := cmp.Diff(later, plan()); diff != "" {
		t.Error(diff)
	}
}

func TestPlanRefusesWhatCantBeWritten(t *testing.T) {
	t.Parallel()
	union := arrow.DenseUnionOf([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int64}}, []arrow.UnionTypeCode{0})
	for _, c := range []struct {
		format string
		fields []arrow.Field
		want   string
	}{
		{"parquet", []arrow.Field{{Name: "u", Type: union}}, `column "u" of type dense_union`},
		{"parquet", []arrow.Field{{Name: "f", Type: arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int64), Nullable: true}}, `column "f" of type fixed_size_list`},
		{"parquet", []arrow.Field{{Name: "l", Type: arrow.ListOf(arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int64))}}, `column "l" of type list`},
		{"csv", []arrow.Field{{Name: "u", Type: union}}, `column "u" of type`},
		{"csv", []arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}}, "set csv.null"},
		{"jsonl", nil, "no columns"},
	} {
		g := newTarget(t, sdk.Append, func(config *Config) { config.Format = c.format })
		change := sdk.SchemaChange{Stream: "orders", Schema: arrow.NewSchema(c.fields, nil)}
		if _, err := g.open(nil).PlanSchema(t.Context(), change); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.format, err, c.want)
		}
		if err := g.open(nil).ApplySchema(t.Context(), change); err == nil {
			t.Errorf("%s: applied", c.format)
		}
	}
	g := newTarget(t, sdk.Append, func(*Config) {})
	if err := os.WriteFile(g.config.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := g.open(nil).PlanSchema(t.Context(), sdk.SchemaChange{Stream: "orders", Schema: orders})
	if sdk.KindOf(err) != sdk.KindConfig {
		t.Errorf("%v, expected the path to be blamed", err)
	}
}
