package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
	"github.com/qanat-data/qanat/specs/contract"
)

// stream is what is demanded of one stream, and what its rows of the current unit gave so far.
type stream struct {
	name        string
	rules       []*rule
	unsupported []string // what the contract asks for and no rule expresses
	notes       []string // what isn't checked because of the schema
	extra       []string // columns that no rule names
	rows        int64    // that hold values
	removals    int64    // deletions and truncates
	schema      *arrow.Schema
	tests       []test
	changes     *changes // nil unless the stream is change data
}

// rule counts the rows that break a demand, over all schema versions of a unit.
type rule struct {
	demand
	each       bool // rows are judged one by one
	violations int64
	seen       *keySet // of a unique rule
	claims     claims  // of a unique rule, in change data
}

// test is a rule compiled for a schema.
type test struct {
	*rule
	judge
	columns []*locator
	before  []*locator // of a unique rule in change data: the columns in the row before, if they are there
}

// adapt compiles the rules for a schema and says everything that stands against it.
func (s *stream) adapt(schema *arrow.Schema, key []string, extra string) error {
	known, err := newChanges(schema, key)
	if err != nil {
		return sdk.Fatal(fmt.Errorf("stream %q: %w", s.name, err))
	}
	next := stream{name: s.name, rules: s.rules, schema: schema, changes: known}
	var faults []error
	for _, r := range s.rules {
		if err := next.compile(r); err != nil {
			faults = append(faults, err)
		}
	}
	next.extra = s.unnamed(schema)
	if extra == failExtra && len(next.extra) > 0 {
		faults = append(faults, sdk.ConfigError("/extra_columns", "stream %q has columns that no rule names: %s", s.name, strings.Join(next.extra, ", ")))
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	s.schema, s.tests, s.changes, s.extra, s.notes = schema, next.tests, next.changes, next.extra, next.notes
	return nil
}

// compile adds the test of a rule.
func (s *stream) compile(r *rule) error {
	if r.Kind == contract.KindRowCount {
		return nil
	}
	t := test{rule: r}
	for _, column := range r.Columns {
		l, err := locate(s.schema, column)
		if errors.Is(err, errAbsent) {
			return s.absent(r, column)
		}
		if err != nil {
			return r.fault("stream %q: column %q: %v", s.name, column.Name(), err)
		}
		t.columns = append(t.columns, l)
	}
	if r.Kind == contract.KindUnique && s.changes != nil {
		t.before = s.former(r)
	}
	if r.Kind != contract.KindUnique {
		var err error
		if t.judge, err = newJudge(r.demand, t.columns[0].kind); err != nil {
			return r.fault("stream %q: column %q: %v", s.name, r.Columns[0].Name(), err)
		}
		if t.find == nil {
			return nil // the column's type alone answers it
		}
	}
	s.tests = append(s.tests, t)
	return nil
}

// absent judges a rule whose column isn't in the data: an optional column may stay away.
func (s *stream) absent(r *rule, column contract.Column) error {
	demanded := r.Kind == contract.KindRequired || r.Kind == contract.KindMissing
	nested := len(column.Path) > 1 && !s.schema.HasField(column.Path[0])
	if demanded && !nested {
		return r.fault("stream %q: column %q is missing", s.name, column.Name())
	}
	note := fmt.Sprintf("column %q isn't in the data", column.Name())
	if column.Nullable && !slices.Contains(s.notes, note) {
		s.note("%s", note)
	}
	return nil
}

func (s *stream) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// unnamed lists the columns that no rule names, except those that the runtime adds.
func (s *stream) unnamed(schema *arrow.Schema) []string {
	named := map[string]bool{}
	for _, r := range s.rules {
		for _, column := range r.Columns {
			named[column.Path[0]], named[column.Names[0]] = true, true
		}
	}
	var extra []string
	for _, field := range change.Table(schema).Fields() {
		if !named[field.Name] && !strings.HasPrefix(field.Name, "_qanat_") {
			extra = append(extra, field.Name)
		}
	}
	return extra
}
