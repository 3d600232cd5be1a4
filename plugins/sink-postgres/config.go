package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/table"
	"github.com/qanat-data/qanat/sdk"
)

// Config is what operators write.
type Config struct {
	DSN    sdk.Secret `json:"dsn" jsonschema:"required" jsonschema_description:"Connection string: postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=ca.pem, or keyword=value pairs. Not through a pooler in transaction mode."`
	Schema string     `json:"schema,omitempty" jsonschema:"default=public" jsonschema_description:"Schema of the tables."`
	Table  string     `json:"table,omitempty" jsonschema:"default={stream}" jsonschema_description:"Name of a stream's table; {stream} stands for the stream's name. Two streams can't have one table."`

	Mode   string   `json:"mode,omitempty" jsonschema:"enum=append,enum=upsert,enum=replace" jsonschema_description:"append adds rows; upsert replaces rows by key and applies change data; replace puts each unit in the place of all rows. By default what the flow's write mode says."`
	Key    []string `json:"key,omitempty" jsonschema_description:"Columns that identify a row, mode upsert; by default the flow's write key, or the stream's key."`
	Delete string   `json:"delete,omitempty" jsonschema:"default=hard,enum=hard,enum=soft" jsonschema_description:"What a deletion in change data does: hard deletes the row, soft keeps it and notes the time in deleted_column."`

	DeletedColumn string `json:"deleted_column,omitempty" jsonschema:"default=_deleted_at" jsonschema_description:"Column of soft deletion, a timestamptz; null in rows that are there."`

	Create *bool             `json:"create,omitempty" jsonschema:"default=true" jsonschema_description:"Create missing tables, the schema and the ledger. With false they must be there."`
	Evolve *bool             `json:"evolve,omitempty" jsonschema:"default=true" jsonschema_description:"Add missing columns and the key's index, and widen types. With false they must be there, and values that a narrower type can't hold are rejected."`
	Types  map[string]string `json:"types,omitempty" jsonschema_description:"Types, in SQL, of columns that are made: by column, or by stream.column, for instance code: varchar(5) or orders.place: inet."`
	Ledger string            `json:"ledger,omitempty" jsonschema:"default=_qanat_ledger" jsonschema_description:"Table that keeps each flow's last mark, in the same schema."`
}

// Modes, and what a deletion does.
const (
	modeAppend  = "append"
	modeUpsert  = "upsert"
	modeReplace = "replace"
	hardDelete  = "hard"
	softDelete  = "soft"
)

func (c *Config) complete() {
	for setting, value := range map[*string]string{
		&c.Schema: "public", &c.Table: sdk.StreamMark, &c.Delete: hardDelete, &c.DeletedColumn: "_deleted_at", &c.Ledger: "_qanat_ledger",
	} {
		if *setting == "" {
			*setting = value
		}
	}
}

// Validate implements sdk.Validator.
func (c *Config) Validate() error {
	c.complete()
	var faults []error
	fail := func(path, format string, args ...any) {
		faults = append(faults, sdk.ConfigError(path, format, args...))
	}
	if _, err := server.Parse(c.DSN.Reveal()); err != nil {
		fail("/dsn", "%v", err)
	}
	for path, name := range map[string]string{"/schema": c.Schema, "/deleted_column": c.DeletedColumn, "/ledger": c.Ledger} {
		if err := table.CheckName(name); err != nil {
			fail(path, "%v", err)
		}
	}
	if rest := strings.ReplaceAll(c.Table, sdk.StreamMark, ""); strings.ContainsAny(rest, "{}") {
		fail("/table", "%q has a placeholder that is not known, the only one is %s", c.Table, sdk.StreamMark)
	}
	if c.Table == c.Ledger {
		fail("/table", "%q is the ledger's name", c.Table)
	}
	if !slices.Contains([]string{"", modeAppend, modeUpsert, modeReplace}, c.Mode) {
		fail("/mode", "%q is not known, allowed are append, upsert, replace", c.Mode)
	}
	if !slices.Contains([]string{hardDelete, softDelete}, c.Delete) {
		fail("/delete", "%q is not known, allowed are hard, soft", c.Delete)
	}
	if c.Delete == softDelete && c.Mode != "" && c.Mode != modeUpsert {
		fail("/delete", "is for mode upsert, and mode is %q", c.Mode)
	}
	if len(c.Key) > 0 && c.Mode == modeAppend {
		fail("/key", "is for modes upsert and replace, and mode is %q", c.Mode)
	}
	for i, column := range c.Key {
		if slices.Index(c.Key, column) < i {
			fail(fmt.Sprintf("/key/%d", i), "column %q is listed twice", column)
		} else if err := table.CheckName(column); err != nil {
			fail(fmt.Sprintf("/key/%d", i), "%v", err)
		}
	}
	for _, column := range slices.Sorted(maps.Keys(c.Types)) {
		if strings.TrimSpace(c.Types[column]) == "" {
			fail("/types/"+escape(column), "is empty, expected a type such as numeric(12,2)")
		}
	}
	return errors.Join(faults...)
}

// escape is a name in a JSON pointer.
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

func (c *Config) create() bool { return c.Create == nil || *c.Create }
func (c *Config) evolve() bool { return c.Evolve == nil || *c.Evolve }

// mode is how a flow writes: the setting, which must go with the flow's own mode.
func (c *Config) mode(flow sdk.WriteMode) (string, error) {
	own, ok := map[sdk.WriteMode]string{sdk.Append: modeAppend, sdk.Upsert: modeUpsert, sdk.Overwrite: modeReplace}[flow]
	switch {
	case !ok:
		return "", sdk.Fatal(fmt.Errorf("write mode %q: allowed are append, upsert and overwrite", flow))
	case c.Mode == "" || c.Mode == own:
		return own, nil
	case c.Mode == modeUpsert && own == modeAppend:
		return c.Mode, nil
	}
	return "", sdk.ConfigError("/mode", "%q does not go with the flow's write mode %q: %s", c.Mode, flow, map[string]string{
		modeAppend:  "its units are not only additions; leave the setting out",
		modeUpsert:  "its units replace all there was, and rows that are no longer there would stay; leave the setting out",
		modeReplace: "its units are only what is new; set write: {mode: overwrite} in the flow",
	}[c.Mode])
}

// name is the table of a stream.
func (c *Config) name(stream string) (table.Name, error) {
	name := table.Name{Schema: c.Schema, Table: strings.ReplaceAll(c.Table, sdk.StreamMark, stream)}
	if err := table.CheckName(name.Table); err != nil {
		return name, sdk.ConfigError("/table", "stream %q: %w", stream, err)
	}
	if name.Table == c.Ledger {
		return name, sdk.ConfigError("/table", "stream %q: its table would be the ledger %q", stream, c.Ledger)
	}
	return name, nil
}

// types are the overrides for a stream's columns.
func (c *Config) types(stream string) map[string]string {
	out := map[string]string{}
	for column, sql := range c.Types {
		if _, own := out[column]; !own {
			out[column] = sql
		}
	}
	for name, sql := range c.Types {
		if column, of := strings.CutPrefix(name, stream+"."); of {
			out[column] = sql
		}
	}
	return out
}
