package main

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// addedLater is the column that a schema change adds.
const addedLater = "added_later"

// shape makes the rows of one stream: any row at any time, because each is a function of seed, stream and index alone.
type shape struct {
	stream   string
	alloc    memory.Allocator
	key      []string
	changeAt int64 // 0 for never
	columns  []*column
	versions []*arrow.Schema
}

func newShape(c Config, stream string, alloc memory.Allocator) (*shape, error) {
	settings := c.columns()
	if c.Fault.SchemaChangeAt > 0 {
		settings = append(slices.Clip(settings), Column{Name: addedLater, Type: "string", Generator: "text", Length: 12})
	}
	s := &shape{stream: stream, alloc: alloc, key: c.key(), changeAt: c.Fault.SchemaChangeAt}
	fields := make([]arrow.Field, len(settings))
	for i, setting := range settings {
		made, err := newColumn(setting, fmt.Sprintf("/columns/%d", i), newRandom(c.Seed, stream, setting.Name))
		if err != nil {
			return nil, err
		}
		// Rows from before the change have no value for it.
		made.field.Nullable = made.field.Nullable || setting.Name == addedLater
		s.columns, fields[i] = append(s.columns, made), made.field
	}
	if s.changeAt == 0 {
		s.versions = []*arrow.Schema{arrow.NewSchema(fields, nil)}
		return s, nil
	}
	last := len(fields) - 1
	s.versions = []*arrow.Schema{arrow.NewSchema(fields[:last:last], nil), arrow.NewSchema(fields, nil)}
	return s, nil
}

// version is the schema version of a row, and the row at which the next one begins (0 for never).
func (s *shape) version(row int64) (version int, until int64) {
	switch {
	case s.changeAt == 0:
		return 1, 0
	case row < s.changeAt:
		return 1, s.changeAt
	}
	return 2, 0
}

func (s *shape) change(version int) sdk.SchemaChange {
	return sdk.SchemaChange{Stream: s.stream, Version: version, Schema: s.versions[version-1], Key: s.key}
}

// rows makes rows [from, from+n), all of one version. The caller releases them.
func (s *shape) rows(version int, from int64, n int) arrow.RecordBatch {
	schema := s.versions[version-1]
	columns := make([]arrow.Array, schema.NumFields())
	for i := range columns {
		columns[i] = s.columns[i].build(s.alloc, from, n)
	}
	record := array.NewRecordBatch(schema, columns, int64(n))
	for _, c := range columns {
		c.Release()
	}
	return record
}
