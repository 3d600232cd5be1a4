package main

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/catalog"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
	"github.com/qanat-data/qanat/sdk"
)

// Config is what operators write.
type Config struct {
	DSN  sdk.Secret `json:"dsn" jsonschema:"required" jsonschema_description:"Connection string: postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=ca.pem, or keyword=value pairs."`
	Mode string     `json:"mode,omitempty" jsonschema:"default=full,enum=full,enum=incremental,enum=cdc" jsonschema_description:"full reads each table once, as of one moment; incremental reads rows whose cursor column has grown; cdc reads each table and then every change. A pipeline keeps its mode."`

	Tables   []string                 `json:"tables,omitempty" jsonschema_description:"Tables to read: schema.table with the wildcards * and ?; without a dot in schema public; a part in double quotes is taken by the letter. By default all ordinary and partitioned tables that the role may read, in mode cdc without unlogged ones; partitions are read with their root."`
	Exclude  []string                 `json:"exclude,omitempty" jsonschema_description:"Tables to leave out, as in tables."`
	PerTable map[string]TableSettings `json:"per_table,omitempty" jsonschema_description:"Settings of single tables, by schema.table."`
	Cursor   *Cursor                  `json:"cursor,omitempty" jsonschema_description:"The cursor of all tables that have none of their own; mode incremental."`

	ChunkRows   int `json:"chunk_rows,omitempty" jsonschema:"default=100000,minimum=100,maximum=10000000" jsonschema_description:"Rows after which a read of a table could be resumed."`
	Connections int `json:"connections,omitempty" jsonschema:"default=2,minimum=1,maximum=32" jsonschema_description:"Connections that read tables at the same time, beside one or two for questions and the stream."`

	OnInfinity string `json:"on_infinity,omitempty" jsonschema:"default=error,enum=error,enum=null,enum=clamp" jsonschema_description:"What becomes of dates and times that Arrow can't hold, such as infinity: error rejects the row, null, or clamp to the last value that can be held."`
	Arrays     string `json:"arrays,omitempty" jsonschema:"default=list,enum=list,enum=text" jsonschema_description:"How arrays are kept: as lists, of one dimension each, or as PostgreSQL prints them."`

	Slot        string       `json:"slot,omitempty" jsonschema_description:"Replication slot of mode cdc; by default qanat_ and the database's name. Each pipeline needs one of its own."`
	Publication string       `json:"publication,omitempty" jsonschema_description:"Publication of mode cdc; by default named as the slot."`
	Create      *bool        `json:"create,omitempty" jsonschema:"default=true" jsonschema_description:"Make slot and publication, and add missing tables to the publication. With false they must be there."`
	Heartbeat   sdk.Duration `json:"heartbeat,omitempty" jsonschema:"default=30s" jsonschema_description:"How often mode cdc writes a small message to the log, so that the slot moves on while the tables are quiet; 0s for never."`
	WALLimit    *WALLimit    `json:"wal_limit,omitempty" jsonschema_description:"What to do if the server keeps too much log for the slot."`
}

// TableSettings are those of one table.
type TableSettings struct {
	Stream  string   `json:"stream,omitempty" jsonschema_description:"Name of the stream; by default the table's, with the schema's and an underscore before it unless that is public, in lower case, other characters than a-z0-9_- as _. Two tables with one name are an error."`
	Columns []string `json:"columns,omitempty" jsonschema_description:"Columns to read; all by default. The key must be among them."`
	Where   string   `json:"where,omitempty" jsonschema_description:"Condition in SQL that rows must meet; not in mode cdc, where a publication may have a filter."`
	Key     []string `json:"key,omitempty" jsonschema_description:"Columns that identify a row, of a table that has no primary key; not in mode cdc."`
	Cursor  *Cursor  `json:"cursor,omitempty" jsonschema_description:"Its cursor, in mode incremental."`
}

// Cursor is a column that grows with each change of a row.
type Cursor struct {
	Column   string `json:"column" jsonschema:"required" jsonschema_description:"An integer, date or timestamp column that is greater for rows that were changed later."`
	LookBack string `json:"look_back,omitempty" jsonschema_description:"How far behind the last value rows are looked for again, because transactions may commit late: a duration such as 10m for times, a number for integers. None by default."`
}

// WALLimit bounds the log that the server keeps for the slot.
type WALLimit struct {
	Bytes sdk.Size `json:"bytes" jsonschema:"required" jsonschema_description:"Log that the server may keep for the slot."`
	Then  string   `json:"then,omitempty" jsonschema:"default=pause,enum=pause,enum=drop" jsonschema_description:"pause warns and keeps the slot; drop gives the slot up, so that the server's disk does not fill, and fails: tables must be read again."`
}

const dropSlot = "drop"

var nameForm = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// Validate implements sdk.Validator.
func (c *Config) Validate() error {
	var faults []error
	fail := func(path, format string, args ...any) {
		faults = append(faults, sdk.ConfigError(path, format, args...))
	}
	if _, err := server.Parse(c.DSN.Reveal()); err != nil {
		fail("/dsn", "%v", err)
	}
	faults = append(faults, patternFaults("/tables", c.Tables), patternFaults("/exclude", c.Exclude))
	if c.Slot != "" && !nameForm.MatchString(c.Slot) {
		fail("/slot", "%q is no name of a slot, expected at most 63 of a-z, 0-9 and _", c.Slot)
	}
	if len(c.Publication) > 63 {
		fail("/publication", "%q is longer than 63 bytes", c.Publication)
	}
	for _, name := range slices.Sorted(maps.Keys(c.PerTable)) {
		faults = append(faults, c.tableFaults(name, c.PerTable[name])...)
	}
	if c.Mode == position.Incremental {
		faults = append(faults, c.Cursor.fault("/cursor"))
	} else if c.Cursor != nil {
		fail("/cursor", "is for mode incremental, and mode is %q", c.Mode)
	}
	if c.WALLimit != nil && c.WALLimit.Bytes <= 0 {
		fail("/wal_limit/bytes", "must be more than 0")
	}
	return errors.Join(faults...)
}

func patternFaults(path string, patterns []string) error {
	var faults []error
	for i, text := range patterns {
		if _, err := catalog.ParsePattern(text); err != nil {
			faults = append(faults, sdk.ConfigError(item(path, i), "%v", err))
		}
	}
	return errors.Join(faults...)
}

func (c *Config) tableFaults(name string, t TableSettings) []error {
	path := "/per_table/" + escape(name)
	var faults []error
	p, err := catalog.ParsePattern(name)
	if err != nil || !p.Literal() {
		faults = append(faults, sdk.ConfigError(path, "is no name of a table, expected schema.table without wildcards"))
	}
	if t.Where != "" && c.Mode == position.CDC {
		faults = append(faults, sdk.ConfigError(path+"/where", "can't be applied to changes: use a publication of your own with a row filter, and create: false"))
	}
	if len(t.Key) > 0 && c.Mode == position.CDC {
		faults = append(faults, sdk.ConfigError(path+"/key", "in mode cdc the key is the table's replica identity"))
	}
	if t.Cursor != nil && c.Mode != position.Incremental {
		faults = append(faults, sdk.ConfigError(path+"/cursor", "is for mode incremental, and mode is %q", c.Mode))
	}
	return append(faults, t.Cursor.fault(path+"/cursor"))
}

var numberForm = regexp.MustCompile(`^[0-9]{1,18}$`)

func (c *Cursor) fault(path string) error {
	if c == nil || c.LookBack == "" || numberForm.MatchString(c.LookBack) {
		return nil
	}
	if d, err := time.ParseDuration(c.LookBack); err != nil || d < 0 {
		return sdk.ConfigError(path+"/look_back", "%q is neither a duration such as 10m nor a number", c.LookBack)
	}
	return nil
}

// escape is a name in a JSON pointer.
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

func (c *Config) create() bool { return c.Create == nil || *c.Create }

func (c *Config) options() value.Options {
	return value.Options{Unheld: value.Unheld(c.OnInfinity), Arrays: value.Arrays(c.Arrays)}
}

var notInNames = regexp.MustCompile(`[^a-z0-9_]+`)

// slot is the name of the slot for a database.
func (c *Config) slot(database string) string {
	if c.Slot != "" {
		return c.Slot
	}
	name := "qanat_" + notInNames.ReplaceAllString(strings.ToLower(database), "_")
	return name[:min(len(name), 63)]
}

func (c *Config) publication(database string) string {
	if c.Publication != "" {
		return c.Publication
	}
	return c.slot(database)
}
