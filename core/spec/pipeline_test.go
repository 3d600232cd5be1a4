package spec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/spec/yamltree"
)

func loadClean(t *testing.T, files string) *spec.Bundle {
	t.Helper()
	dir := t.TempDir()
	extract(t, txtar.Parse([]byte(files)), dir)
	bundle, faults := spec.Load(t.Context(), spec.Options{Dir: dir})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return bundle
}

const shop = `
-- c.yaml --
kind: connection
name: db
plugin: postgres
config: {dsn: "${env:DSN}", size: 1}
-- p.yaml --
kind: pipeline
name: orders
source: {connection: db, config: {size: 2}, env: [DSN], limits: {memory: 1GiB}}
landing: {dataset: "landing.shop.{stream}", commit: {every: 1s}}
flows:
- name: clean
  from: [landing.shop.*]
  as: {landing.shop.orders: o}
  transforms: [{plugin: sql, name: t, config: {q: 1.50}}]
  checks: [{plugin: schema, on_fail: warn}, {connection: db}]
  to: processing.shop.{name}
  write: {mode: upsert, key: [id]}
- {name: out, from: [landing.shop.orders], sink: {connection: db}, commit: {rows: 5, bytes: 1MB}}
`

func TestPipelinesDecodeWithDefaultsAndConnections(t *testing.T) {
	t.Parallel()
	got := loadClean(t, shop).Pipelines[0]
	want := &spec.Pipeline{
		Kind: "pipeline", Name: "orders",
		Source: &spec.Source{Use: spec.Use{
			Plugin: "postgres", Connection: "db", Env: []string{"DSN"}, Path: "/source",
			Limits: &spec.Limits{Memory: 1 << 30},
		}},
		Landing: &spec.LandingHop{
			Dataset: "landing.shop.{stream}", OnSchemaChange: "stop",
			Commit: spec.Commit{Every: spec.Duration(time.Second), Rows: 1_000_000, Bytes: 256 << 20},
		},
		Flows: []spec.Flow{{
			Name: "clean", From: []string{"landing.shop.*"}, As: map[string]string{"landing.shop.orders": "o"},
			Transforms: []spec.Transform{{Use: spec.Use{Plugin: "sql", Path: "/flows/0/transforms/0"}, Name: "t"}},
			Checks: []spec.Check{
				{Use: spec.Use{Plugin: "schema", Path: "/flows/0/checks/0"}, OnFail: "warn"},
				{Use: spec.Use{Plugin: "postgres", Connection: "db", Path: "/flows/0/checks/1"}, OnFail: "quarantine"},
			},
			To: "processing.shop.{name}", Write: spec.Write{Mode: "upsert", Key: []string{"id"}},
			Commit:         spec.Commit{Every: spec.Duration(5 * time.Second), Rows: 1_000_000, Bytes: 256 << 20},
			OnSchemaChange: "stop", Path: "/flows/0",
		}, {
			Name: "out", From: []string{"landing.shop.orders"}, Path: "/flows/1", Write: spec.Write{Mode: "append"},
			Sink:           &spec.Sink{Use: spec.Use{Plugin: "postgres", Connection: "db", Path: "/flows/1/sink"}},
			Commit:         spec.Commit{Every: spec.Duration(5 * time.Second), Rows: 5, Bytes: 1e6},
			OnSchemaChange: "stop",
		}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(&spec.Node{})); diff != "" {
		t.Error(diff)
	}
	var configs []string
	for _, use := range got.Uses() {
		data, err := json.Marshal(use.Config)
		if err != nil {
			t.Fatal(err)
		}
		configs = append(configs, use.Config.Path()+" "+use.Config.Position().String()+" "+string(data))
	}
	if diff := cmp.Diff([]string{
		`/source/config p.yaml:3:34 {"dsn":"${env:DSN}","size":2}`,
		`/flows/0/transforms/0/config p.yaml:9:47 {"q":1.50}`,
		`/flows/0/checks/0/config p.yaml:10:12 {}`,
		`/flows/0/checks/1/config p.yaml:10:58 {"dsn":"${env:DSN}","size":1}`,
		`/flows/1/sink/config p.yaml:13:63 {"dsn":"${env:DSN}","size":1}`,
	}, configs); diff != "" {
		t.Error(diff)
	}
	if at := got.Source.Config.Locate("/dsn").String(); at != "c.yaml:4:15" {
		t.Error(at)
	}
	var into struct{ Size int }
	if err := got.Source.Config.Unmarshal(&into); err != nil || into.Size != 2 {
		t.Error(into, err)
	}
}

func TestFingerprintFollowsTheDefinitionOnly(t *testing.T) {
	t.Parallel()
	base := loadClean(t, shop).Pipelines[0]
	for _, c := range []struct {
		name, old, new                      string
		source, clean, out, landingNotEmpty bool
	}{
		{name: "comment and order", old: "name: orders\n", new: "owner: me # x\nname: orders\n"},
		{name: "key order", old: `{dsn: "${env:DSN}", size: 1}`, new: `{size: 1, dsn: "${env:DSN}"}`},
		{name: "default spelled out", old: "on_fail: warn}", new: "on_fail: warn, config: {}}"},
		{name: "connection's config", old: "size: 1", new: "size: 9", clean: true, out: true},
		{name: "connection's reference", old: "env:DSN}\"", new: "env:DSM}\"", source: true, clean: true, out: true},
		{name: "source", old: "size: 2", new: "size: 3", source: true},
		{name: "landing", old: "every: 1s", new: "every: 2s", source: true},
		{name: "transform", old: "q: 1.50", new: "q: 1.51", clean: true},
		{name: "sink flow", old: "rows: 5", new: "rows: 6", out: true},
	} {
		p := loadClean(t, strings.Replace(shop, c.old, c.new, 1)).Pipelines[0]
		got := [3]bool{
			p.LandingFingerprint() != base.LandingFingerprint(),
			p.Flows[0].Fingerprint() != base.Flows[0].Fingerprint(), p.Flows[1].Fingerprint() != base.Flows[1].Fingerprint(),
		}
		if diff := cmp.Diff([3]bool{c.source, c.clean, c.out}, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if len(base.Flows[0].Fingerprint()) != 64 || (&spec.Pipeline{}).LandingFingerprint() != "" {
		t.Error("not a fingerprint")
	}
}

func TestShownSpecsReadBackTheSame(t *testing.T) {
	t.Parallel()
	text := "a: \"x: y # z\"\nb: 'null'\nc: |\n  one\n   two\n\n  three\nd: \"\\ttab\\n\"\ne: [[], {}, [{f: g, h: [1, [2]]}], \"\"]\n" +
		"\"a b\": ~\n\"k: v\": true\nq: \"é \\u0007 \\\"\"\n1: 0x10\nnum: '12'\nlit: |\n  no end\n\"2001-01-01\": \"*a\"\nm: \"- x\"\n" +
		"long: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb]\n"
	before := parseConfig(t, text)
	var out bytes.Buffer
	if err := spec.Show(&out, before); err != nil {
		t.Fatal(err)
	}
	after, faults := yamltree.Parse(out.Bytes(), "shown.yaml")
	if len(faults) > 0 || len(after) != 1 {
		t.Fatal(faults, out.String())
	}
	if diff := cmp.Diff(before.Value(), after[0].Value()); diff != "" {
		t.Error(diff, out.String())
	}
}

func TestDatasetsParse(t *testing.T) {
	t.Parallel()
	d, err := spec.ParseDataset("landing.shop.or-ders_1")
	if diff := cmp.Diff(spec.Dataset{Zone: "landing", Namespace: "shop", Name: "or-ders_1"}, d); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for text, want := range map[string]string{
		"landing.shop":                          `dataset "landing.shop" has 2 parts, expected zone.namespace.name`,
		"landing.shop.":                         `part "" of dataset "landing.shop." is not a name`,
		"landing.shop.1a":                       `part "1a" of dataset "landing.shop.1a" is not a name`,
		"landing.shop.*":                        `dataset "landing.shop.*" is a pattern, and one dataset is expected`,
		"landing.a.{x}":                         `unknown placeholder {x} in dataset "landing.a.{x}"`,
		"nowhere.a.b":                           `unknown zone "nowhere", expected landing, processing, curated, serving, quarantine`,
		"landing.a." + strings.Repeat("x", 129): `a part of dataset "landing.a.` + strings.Repeat("x", 129) + `" is longer than 128 characters`,
	} {
		if _, err := spec.ParseDataset(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	for pattern, want := range map[string]bool{
		"landing.shop.*": true, "landing.*.orders": true, "landing.shop.ord*s": true, "landing.shop.orders": true,
		"curated.shop.*": false, "landing.shop.x*": false, "landing.s.*": false,
	} {
		p, err := spec.ParsePattern(pattern)
		if err != nil || p.Matches(spec.Dataset{Zone: "landing", Namespace: "shop", Name: "orders"}) != want {
			t.Error(pattern, err)
		}
	}
}

func TestScalarsReadAndWrite(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"5s": 5 * time.Second, "7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute} {
		var d spec.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Error(text, d, err)
		}
	}
	for _, text := range []string{"", "5", "1.5", "s", "-5s", "0s", "99999d", "xd", "1dd"} {
		var d spec.Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q reads as %s", text, d)
		}
	}
	for text, want := range map[string]int64{"5": 5, "1GB": 1e9, "256MiB": 256 << 20, "1.5 KiB": 1536, "10b": 10, "2tb": 2e12} {
		var s spec.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.Bytes() != want {
			t.Error(text, s, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1ZB", "MiB", "9999999TiB", "1e9", "0.1"} {
		var s spec.Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q reads as %s", text, s)
		}
	}
	if got := spec.Size(3<<20).String() + spec.Size(1000).String() + spec.Size(0).String(); got != "3MiB1000B0B" {
		t.Error(got)
	}
}

func TestLoadStopsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "p.yaml", "kind: pipeline\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b, faults := spec.Load(ctx, spec.Options{Dir: dir}); b != nil || len(faults) != 1 || faults[0].Code != "cancelled" {
		t.Error(b, faults)
	}
}

func TestPrintColorsWhatItIsAskedTo(t *testing.T) {
	t.Parallel()
	faults := []spec.Fault{
		{Severity: spec.Warning, Code: "x", File: "b", Message: "second"},
		{Severity: spec.Error, Code: "x", File: "a", Line: 10, Column: 2, Message: "first", Excerpt: "ab\n ^", Hint: "do"},
	}
	var plain, colored bytes.Buffer
	if err := spec.Print(&plain, faults, false); err != nil {
		t.Fatal(err)
	}
	want := "error: first\n  --> a:10:2\n   |\n10 | ab\n   |  ^\nhelp: do\n\nwarning: second\n --> b\n"
	if diff := cmp.Diff(want, plain.String()); diff != "" {
		t.Error(diff)
	}
	if err := spec.Print(&colored, faults, true); err != nil || !strings.Contains(colored.String(), "\x1b[1;31merror\x1b[0m") {
		t.Error(err, colored.String())
	}
}

func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("testdata/faults/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if !strings.HasSuffix(file.Name, ".yaml") {
				continue
			}
			f.Add(file.Data, []byte("kind: pipeline\nname: orders\ndescription: x\n"))
		}
	}
	f.Fuzz(func(t *testing.T, pipeline, overlay []byte) {
		dir := t.TempDir()
		write(t, dir, "p.yaml", string(pipeline))
		write(t, dir, "overlays/o.yaml", string(overlay))
		bundle, faults := spec.Load(t.Context(), spec.Options{Dir: dir, Env: "o", Files: []string{"p.yaml"}})
		for _, fault := range faults {
			if fault.Code == "" || fault.Message == "" || fault.Severity == "" {
				t.Fatalf("empty fault %+v", fault)
			}
		}
		for _, p := range bundle.Pipelines {
			if err := spec.Show(&bytes.Buffer{}, p.Node); err != nil {
				t.Fatal(err)
			}
			for i := range p.Flows {
				_ = p.Flows[i].Fingerprint()
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	})
}
