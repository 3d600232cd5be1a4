package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
	"strings"
)

func TestE2E(t *testing.T) {
	dir := t.TempDir()
	lock, err := registry.OpenLock(filepath.Join(dir, registry.LockFile))
	if err != nil {
		t.Fatal(err)
	}
	h, err := pluginhost.New(pluginhost.Settings{Dir: filepath.Join(dir, ".qanat"), ProjectDir: dir, Lock: lock, Paths: []string{"/tmp/qplug"}, Logger: hclog.Default(), Alloc: memory.DefaultAllocator})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	schema := columns(nullable("id", arrow.PrimitiveTypes.Int64), nullable("amount", arrow.BinaryTypes.String))
	rec, _, _ := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[{"id":1,"amount":"5"},{"id":1,"amount":"x"},{"id":null,"amount":"1"}]`))
	in := sdk.SchemaChange{Stream: "landing.shop.orders", Version: 1, Schema: schema}
	for _, cfg := range []string{`{"query":"select id, amount::int as amount from orders"}`, `{"query":"select sum(id) s from orders","collect":true,"memory_limit":"64MiB"}`} {
		tr, err := h.Transform(t.Context(), pluginhost.Instance{Plugin: "sql", Config: json.RawMessage(cfg)})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := tr.Plan(t.Context(), []sdk.SchemaChange{in})
		fmt.Println(plan, err)
		res, err := tr.Apply(t.Context(), sdk.Batch{Stream: in.Stream, Version: 1, Record: rec})
		fmt.Println(res, err)
		if plan.Collects {
			fmt.Println(tr.Finish(t.Context(), func(r pluginhost.Result) error { fmt.Println(r); return nil }))
		}
		fmt.Println(tr.Close())
	}
	for _, cfg := range []string{`{"query":"select max(id) from orders"}`, `{"query":"x","threads":1000}`, `{"quary":"x"}`} {
		tr, err := h.Transform(t.Context(), pluginhost.Instance{Plugin: "sql", Config: json.RawMessage(cfg)})
		if err != nil {
			fmt.Println(err)
			continue
		}
		_, err = tr.Plan(t.Context(), []sdk.SchemaChange{in})
		fmt.Println(err)
		tr.Close()
	}
	c, err := h.Check(t.Context(), pluginhost.Instance{Plugin: "schema", Config: json.RawMessage(`{"rules":[{"column":"id","required":true,"unique":true,"min":0,"max":7.5,"enum":[1,2]},{"column":"amount","type":"integer"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(c.Plan(t.Context(), in))
	fs, err := c.Send(t.Context(), sdk.Batch{Stream: in.Stream, Version: 1, Record: rec}), error(nil)
	fmt.Println(fs, err)
	fmt.Println(c.Receive(t.Context()))
	fmt.Println(c.Result(t.Context()))
	fmt.Println(c.Close())
}
