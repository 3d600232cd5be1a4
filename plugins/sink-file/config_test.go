package main

import (
	"strings"
	"testing"

	"github.com/qanat-data/qanat/sdk"
)

func TestValidateNamesTheSetting(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Path = "" }, `setting "/path": is required`},
		{func(c *Config) { c.Format = "xml" }, `setting "/format": "xml" is not a format, allowed are parquet, jsonl, csv`},
		{func(c *Config) { c.Compression = "lz4" }, `setting "/compression": "lz4" is not known`},
		{func(c *Config) { c.CSV.Null = "x" }, `setting "/csv": is only for the format csv`},
		{func(c *Config) { c.Format, c.CSV.Delimiter = "csv", `"` }, `setting "/csv/delimiter"`},
		{func(c *Config) { c.Format, c.CSV.Null = "csv", "a,b" }, `setting "/csv/null"`},
		{func(c *Config) { c.Name = "{stream}" }, `setting "/name": "{stream}" lacks {seq}`},
		{func(c *Config) { c.Name = "{strem}-{seq}" }, `has {strem}, allowed are {stream}, {flow}, {seq}, {part}`},
		{func(c *Config) { c.Name = "../{seq}" }, `expected a relative path`},
		{func(c *Config) { c.Name = "/{seq}" }, `expected a relative path`},
		{func(c *Config) { c.Name = ".hidden/{seq}" }, `expected a relative path`},
		{func(c *Config) { c.Name = "{seq}/" }, `expected a relative path`},
	} {
		config := Config{Path: "out", Format: "jsonl", Name: "{seq}"}
		c.change(&config)
		err := config.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) || sdk.KindOf(err) != sdk.KindConfig {
			t.Errorf("%v, expected %q", err, c.want)
		}
	}
}

func TestNamesAreSafeAndDistinct(t *testing.T) {
	t.Parallel()
	names := []string{"orders", "Orders", "public.orders", "a/b", "a%2Fb", "..", ".", ".qanat-sink", "_x", "ü", "a b", "", "x\x00y",
		strings.Repeat("a", 100), strings.Repeat("a", 101), strings.Repeat("a", 102)}
	seen := map[string]string{}
	for _, name := range names {
		got := safe(name)
		if other, twice := seen[got]; twice {
			t.Errorf("%q and %q both become %q", name, other, got)
		}
		seen[got] = name
		if len(got) > longestName || strings.ContainsAny(got, "/\\\x00 ") || strings.HasPrefix(got, ".") || strings.HasPrefix(got, "_") {
			t.Errorf("%q becomes %q", name, got)
		}
	}
}

func TestNameTemplates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		part int
		want string
	}{
		{"{stream}/{flow}-{seq}", 1, "orders/shop-000000000042.csv.gz"},
		{"{stream}/{flow}-{seq}", 3, "orders/shop-000000000042-0003.csv.gz"},
		{"day/{seq}.{part}", 1, "day/000000000042.0001.csv.gz"},
	} {
		config := Config{Path: "out", Format: "csv", Compression: "gzip", Name: c.name}
		if err := config.Validate(); err != nil {
			t.Error(err)
		}
		if got := config.fileName("shop", "orders", 42, c.part); got != c.want {
			t.Errorf("%s, expected %s", got, c.want)
		}
	}
	for format, want := range map[string]string{"parquet": ".parquet", "jsonl": ".jsonl", "csv": ".csv"} {
		if got := (Config{Format: format}).ending(); got != want {
			t.Errorf("%s, expected %s", got, want)
		}
	}
}
