package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/qanat-data/qanat/sdk"
)

// Config is what operators write.
type Config struct {
	Stream         string   `json:"stream,omitempty" jsonschema_description:"Name of the one stream; events if neither this nor streams is given."`
	Streams        []string `json:"streams,omitempty" jsonschema_description:"Names of several streams, all of the same shape."`
	Seed           int64    `json:"seed,omitempty" jsonschema:"default=1" jsonschema_description:"The same seed gives the same rows."`
	Rows           int64    `json:"rows,omitempty" jsonschema:"minimum=0" jsonschema_description:"Rows per stream; 0 makes rows until the pipeline stops."`
	BatchRows      int      `json:"batch_rows,omitempty" jsonschema:"minimum=1,maximum=131072,default=8192" jsonschema_description:"Rows per batch."`
	Rate           float64  `json:"rate,omitempty" jsonschema:"minimum=0" jsonschema_description:"Rows per second over all streams together; 0 is as fast as possible."`
	CheckpointRows int64    `json:"checkpoint_rows,omitempty" jsonschema:"minimum=0" jsonschema_description:"Rows between checkpoints, over all streams together; 0 is 65536, or a second's worth where the rate is lower."`
	Columns        []Column `json:"columns,omitempty" jsonschema_description:"The shape of a row; without it five columns of about 60 bytes together."`
	Fault          Fault    `json:"fault,omitzero" jsonschema_description:"Faults on request, to test what follows the source."`
}

// Column says how the values of one column are made.
type Column struct {
	Name         string            `json:"name" jsonschema:"required,minLength=1" jsonschema_description:"Name of the column."`
	Type         string            `json:"type" jsonschema:"required,enum=int64,enum=float64,enum=string,enum=bool,enum=timestamp,enum=date,enum=decimal" jsonschema_description:"Type of the values; a timestamp is in microseconds and UTC."`
	Generator    string            `json:"generator,omitempty" jsonschema:"enum=sequence,enum=uniform,enum=normal,enum=choice,enum=uuid,enum=timestamp,enum=text,enum=constant" jsonschema_description:"How values are made; uniform, or text for strings and timestamp for timestamps, if absent."`
	Min          json.RawMessage   `json:"min,omitempty" jsonschema_description:"Least value (uniform, normal) or first value (sequence, timestamp)."`
	Max          json.RawMessage   `json:"max,omitempty" jsonschema_description:"Greatest value (uniform, normal)."`
	Step         json.RawMessage   `json:"step,omitempty" jsonschema_description:"Distance from row to row: a number (sequence), or a duration such as 1s (timestamp)."`
	Mean         float64           `json:"mean,omitempty" jsonschema_description:"Mean (normal)."`
	Stddev       float64           `json:"stddev,omitempty" jsonschema:"minimum=0,default=1" jsonschema_description:"Standard deviation (normal)."`
	Value        json.RawMessage   `json:"value,omitempty" jsonschema_description:"The value (constant)."`
	Values       []json.RawMessage `json:"values,omitempty" jsonschema_description:"The values (choice), equally likely; one written twice is twice as likely."`
	Length       int               `json:"length,omitempty" jsonschema:"minimum=1,maximum=4096,default=24" jsonschema_description:"Most characters of a text; the shortest has half of them."`
	Precision    int               `json:"precision,omitempty" jsonschema:"minimum=1,maximum=18,default=12" jsonschema_description:"Digits of a decimal."`
	Scale        *int              `json:"scale,omitempty" jsonschema:"minimum=0,maximum=9" jsonschema_description:"Digits behind the point: 2 for a decimal if absent; a float64 is rounded to it if given."`
	NullFraction float64           `json:"null_fraction,omitempty" jsonschema:"minimum=0,maximum=1" jsonschema_description:"Share of nulls, 0 to 1."`
	Doc          string            `json:"doc,omitempty" jsonschema_description:"Documentation that travels with the column."`
	Tags         []string          `json:"tags,omitempty" jsonschema_description:"Tags that travel with the column, such as pii."`
}

// Fault asks for trouble; the rows that are emitted stay deterministic.
type Fault struct {
	RejectEvery    int64 `json:"reject_every,omitempty" jsonschema:"minimum=0" jsonschema_description:"Reject each n-th row of a stream instead of emitting it."`
	SchemaChangeAt int64 `json:"schema_change_at,omitempty" jsonschema:"minimum=0" jsonschema_description:"Add the column added_later from this row (counted from 0) on, as schema version 2."`
}

const (
	maxBatchRows          = 131072
	defaultCheckpointRows = 65536
)

// Validate lists every fault of the settings.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, path, format string, args ...any) {
		if !ok {
			faults = append(faults, sdk.ConfigError(path, format, args...))
		}
	}
	check(c.Stream == "" || len(c.Streams) == 0, "/stream", "both stream and streams are given, expected one of them")
	for i, name := range c.Streams {
		path := "/streams/" + strconv.Itoa(i)
		check(name != "", path, "an empty name")
		check(!slices.Contains(c.Streams[:i], name), path, "stream %q is listed twice", name)
	}
	check(c.Rows >= 0, "/rows", "%d is negative", c.Rows)
	check(c.BatchRows >= 1 && c.BatchRows <= maxBatchRows, "/batch_rows", "%d is out of range, expected 1 to %d", c.BatchRows, maxBatchRows)
	check(c.Rate >= 0, "/rate", "%v is negative", c.Rate)
	check(c.CheckpointRows >= 0, "/checkpoint_rows", "%d is negative", c.CheckpointRows)
	check(c.Fault.RejectEvery >= 0, "/fault/reject_every", "%d is negative", c.Fault.RejectEvery)
	check(c.Fault.SchemaChangeAt >= 0, "/fault/schema_change_at", "%d is negative", c.Fault.SchemaChangeAt)
	return errors.Join(append(faults, c.columnFaults()...)...)
}

func (c Config) columnFaults() []error {
	var faults []error
	seen := map[string]bool{}
	if c.Fault.SchemaChangeAt > 0 {
		seen[addedLater] = true
	}
	for i, column := range c.Columns {
		path := "/columns/" + strconv.Itoa(i)
		if seen[column.Name] {
			faults = append(faults, sdk.ConfigError(path+"/name", "column %q is there twice", column.Name))
		}
		seen[column.Name] = true
		if _, err := newColumn(column, path, 0); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

// names are the streams' names.
func (c Config) names() []string {
	switch {
	case len(c.Streams) > 0:
		return c.Streams
	case c.Stream != "":
		return []string{c.Stream}
	}
	return []string{"events"}
}

// checkpointRows is the distance of checkpoints: with a low rate about a second's worth, so that commits by time find one.
func (c Config) checkpointRows() int64 {
	switch {
	case c.CheckpointRows > 0:
		return c.CheckpointRows
	case c.Rate > 0:
		return max(1, int64(min(c.Rate, defaultCheckpointRows)))
	}
	return defaultCheckpointRows
}

// batchRows is the size of batches: never more than lies between checkpoints, and with a rate a twentieth of a second's worth,
// so that rows trickle instead of coming in bursts.
func (c Config) batchRows() int64 {
	rows := min(int64(c.BatchRows), c.checkpointRows())
	if c.Rate > 0 {
		rows = min(rows, max(1, int64(min(c.Rate/20, float64(rows)))))
	}
	return rows
}

// columns are the configured columns or the default shape.
func (c Config) columns() []Column {
	if len(c.Columns) > 0 {
		return c.Columns
	}
	cents := 2
	return []Column{
		{Name: "id", Type: "int64", Generator: "sequence", Doc: "Number of the row, from 0."},
		{Name: "ts", Type: "timestamp", Generator: "timestamp", Doc: "A second after the row before."},
		{Name: "amount", Type: "float64", Generator: "uniform", Scale: &cents, Doc: "Between 0 and 1000, in cents."},
		{Name: "region", Type: "string", Generator: "choice", Values: texts("africa", "americas", "asia", "europe", "oceania"), Doc: "One of five regions."},
		{Name: "name", Type: "string", Generator: "text", Length: 24, Doc: "A few words."},
	}
}

func texts(values ...string) []json.RawMessage {
	raw := make([]json.RawMessage, len(values))
	for i, v := range values {
		raw[i] = fmt.Appendf(nil, "%q", v)
	}
	return raw
}

// key is the column that identifies a row: the first sequence without nulls.
func (c Config) key() []string {
	for _, column := range c.columns() {
		if column.Generator == "sequence" && column.NullFraction == 0 {
			return []string{column.Name}
		}
	}
	return nil
}

func (c Column) metadata() map[string]string {
	meta := map[string]string{}
	if c.Doc != "" {
		meta[sdk.MetaDoc] = c.Doc
	}
	if len(c.Tags) > 0 {
		meta[sdk.MetaTags] = strings.Join(c.Tags, ",")
	}
	return meta
}
