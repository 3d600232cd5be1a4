package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/catalog"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/keyset"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/snapshot"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// table is one that the settings choose.
type table struct {
	snapshot.Table
	settings TableSettings
	path     string // JSON pointer to its settings
	schema   *arrow.Schema
	names    []string // the key's columns
}

func item(path string, i int) string { return path + "/" + strconv.Itoa(i) }

// find resolves the settings to tables, in the order of their names.
func (s *Source) find(ctx context.Context, conn *pgx.Conn) ([]*table, error) {
	all, err := catalog.List(ctx, conn)
	if err != nil {
		return nil, server.Judge(ctx, "look tables up", err)
	}
	chosen, err := s.choose(all)
	if err != nil {
		return nil, err
	}
	if err := catalog.Fill(ctx, conn, chosen); err != nil {
		return nil, server.Judge(ctx, "look columns up", err)
	}
	types := value.NewCatalog()
	if err := loadTypes(ctx, conn, types, chosen); err != nil {
		return nil, err
	}
	tables := make([]*table, len(chosen))
	var faults []error
	for i, t := range chosen {
		one, err := s.table(types, t)
		tables[i] = one
		faults = append(faults, err)
	}
	faults = append(faults, distinct(tables))
	return tables, errors.Join(faults...)
}

func loadTypes(ctx context.Context, conn *pgx.Conn, types *value.Catalog, tables []*catalog.Table) error {
	oids := map[uint32]bool{}
	for _, t := range tables {
		for _, c := range t.Columns {
			oids[c.Type] = true
		}
	}
	if len(oids) == 0 {
		return nil
	}
	err := types.Load(ctx, conn.PgConn(), slices.Sorted(maps.Keys(oids))...)
	return server.Judge(ctx, "look types up", err)
}

// choose applies tables and exclude. What is named by the letter must be there, and be readable.
func (s *Source) choose(all []*catalog.Table) ([]*catalog.Table, error) {
	out := map[string]bool{}
	var faults []error
	var exclude []catalog.Pattern
	for _, text := range s.config.Exclude {
		p, err := catalog.ParsePattern(text)
		faults = append(faults, err)
		exclude = append(exclude, p)
	}
	patterns := s.config.Tables
	if len(patterns) == 0 {
		patterns = []string{"*.*"}
	}
	for i, text := range patterns {
		p, err := catalog.ParsePattern(text)
		if err != nil {
			return nil, sdk.ConfigError(item("/tables", i), "%v", err)
		}
		n := 0
		for _, t := range all {
			switch {
			case !p.Match(t.Schema, t.Name), slices.ContainsFunc(exclude, func(p catalog.Pattern) bool { return p.Match(t.Schema, t.Name) }):
			case !t.Readable && !p.Literal():
			case !t.Readable:
				faults = append(faults, sdk.ConfigError(item("/tables", i), "the role may not read table %s: grant select on it", t))
			case s.config.Mode == position.CDC && !t.Logged && !p.Literal():
			case s.config.Mode == position.CDC && !t.Logged:
				faults = append(faults, sdk.ConfigError(item("/tables", i), "table %s is unlogged: its changes can't be followed", t))
			default:
				n++
				out[t.String()] = true
			}
		}
		if n == 0 && len(s.config.Tables) > 0 && errors.Join(faults...) == nil {
			faults = append(faults, sdk.ConfigError(item("/tables", i), "%q matches no table that the role may read in database %q", text, s.server.Database()))
		}
	}
	faults = append(faults, s.unused(all, out))
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	var chosen []*catalog.Table
	for _, t := range all {
		if out[t.String()] {
			chosen = append(chosen, t)
		}
	}
	return chosen, nil
}

// unused says which of per_table's names are no chosen tables.
func (s *Source) unused(all []*catalog.Table, chosen map[string]bool) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(s.config.PerTable)) {
		p, err := catalog.ParsePattern(name)
		if err != nil || !slices.ContainsFunc(all, func(t *catalog.Table) bool { return chosen[t.String()] && p.Match(t.Schema, t.Name) }) {
			faults = append(faults, sdk.ConfigError("/per_table/"+escape(name), "is none of the tables that are read"))
		}
	}
	return errors.Join(faults...)
}

func (s *Source) settingsOf(t *catalog.Table) (TableSettings, string) {
	for name, settings := range s.config.PerTable {
		if p, err := catalog.ParsePattern(name); err == nil && p.Match(t.Schema, t.Name) {
			return settings, "/per_table/" + escape(name)
		}
	}
	return TableSettings{}, "/per_table/" + escape(t.String())
}

// table works out what is read of a table.
func (s *Source) table(types *value.Catalog, t *catalog.Table) (*table, error) {
	settings, path := s.settingsOf(t)
	out := &table{settings: settings, path: path}
	out.Table.Table, out.Filter, out.Stream = t, settings.Where, settings.Stream
	if out.Stream == "" {
		out.Stream = streamName(t)
	}
	out.names = s.keyOf(t, settings)
	var fields []arrow.Field
	for _, c := range t.Columns {
		if len(settings.Columns) > 0 && !slices.Contains(settings.Columns, c.Name) || s.config.Mode == position.CDC && c.Generated {
			continue
		}
		column, err := types.Column(c.Name, c.Type, c.Modifier, s.config.options())
		if err != nil {
			return out, fmt.Errorf("table %s: %w", t, err)
		}
		out.Columns = append(out.Columns, column)
		fields = append(fields, documented(column.Field(), c))
	}
	if err := out.check(s.config.Mode); err != nil {
		return out, err
	}
	out.schema = arrow.NewSchema(fields, nil)
	if out.Key = keyset.Of(t, out.names); s.config.Mode == position.Full && len(settings.Key) > 0 {
		out.Key = nil // no index keeps its order
	}
	return out, nil
}

func (s *Source) keyOf(t *catalog.Table, settings TableSettings) []string {
	switch {
	case s.config.Mode == position.CDC:
		return t.ChangeKey()
	case len(settings.Key) > 0:
		return settings.Key
	}
	return t.Unique
}

// documented is a column's field with what the catalogue says about it.
func documented(f arrow.Field, c catalog.Column) arrow.Field {
	f.Nullable = !c.NotNull
	if c.Doc != "" {
		keys, values := f.Metadata.Keys(), f.Metadata.Values()
		f.Metadata = arrow.NewMetadata(append(slices.Clone(keys), sdk.MetaDoc), append(slices.Clone(values), c.Doc))
	}
	return f
}

func (t *table) check(mode string) error {
	var faults []error
	for i, name := range t.settings.Columns {
		if t.Column(name) == nil {
			faults = append(faults, sdk.ConfigError(item(t.path+"/columns", i), "table %s has no column %q, it has %s", t, name, columnNames(t.Table.Table)))
		}
	}
	for i, name := range t.settings.Key {
		if t.Column(name) == nil {
			faults = append(faults, sdk.ConfigError(item(t.path+"/key", i), "table %s has no column %q, it has %s", t, name, columnNames(t.Table.Table)))
		}
	}
	if len(t.Columns) == 0 && len(faults) == 0 {
		return sdk.ConfigError("/exclude", "table %s has no columns that could be read: exclude it", t)
	}
	for _, name := range t.names {
		if !slices.ContainsFunc(t.Columns, func(c *value.Column) bool { return c.Name == name }) && t.Column(name) != nil {
			faults = append(faults, sdk.ConfigError(t.path+"/columns", "lacks %q, a column of the key of table %s", name, t))
		}
	}
	for _, name := range change.Names() {
		if mode == position.CDC && t.Column(name) != nil {
			faults = append(faults, sdk.ConfigError(t.path+"/columns", "column %q of table %s has the name of a column that describes changes: leave it out", name, t))
		}
	}
	return errors.Join(faults...)
}

func columnNames(t *catalog.Table) string {
	var names []string
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

var notInStreams = regexp.MustCompile(`[^a-z0-9_-]+`)

// streamName is the table's name as a dataset may have it.
func streamName(t *catalog.Table) string {
	name := t.Name
	if t.Schema != "public" {
		name = t.Schema + "_" + t.Name
	}
	name = strings.Trim(notInStreams.ReplaceAllString(strings.ToLower(name), "_"), "_-")
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		name = "t_" + name
	}
	return name
}

// distinct says which tables would have the same stream.
func distinct(tables []*table) error {
	var faults []error
	by := map[string]*table{}
	for _, t := range tables {
		if other := by[t.Stream]; other != nil {
			faults = append(faults, sdk.ConfigError(t.path+"/stream", "tables %s and %s would both be stream %q: name one of them", other, t, t.Stream))
		}
		by[t.Stream] = t
	}
	return errors.Join(faults...)
}
