package rows

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
)

// field is a column of a struct type.
type field struct {
	kind
	name  string
	index []int // path to the Go field, through embedded structs
	meta  arrow.Metadata
}

// kind says how a Go type is kept in Arrow.
type kind struct {
	typ      arrow.DataType
	nullable bool
	// bind makes an appender into a builder of typ.
	bind func(array.Builder) appender
	// read makes a reader of an array, or says why an array of its type can't be read.
	read func(arrow.Array) (reader, error)
}

// appender appends exactly one value, also if it fails: arrays of a batch must stay equally long.
type appender func(v reflect.Value) error

// reader sets into to the value of a row, which is not null.
type reader func(row int, into reflect.Value) error

// fieldsOf reads a struct type's columns.
func fieldsOf(t reflect.Type) ([]field, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("rows of type %s, expected a struct; maps need OfMaps", t)
	}
	p := parser{}
	return p.fields(t)
}

// parser knows the structs around a type, because a struct within itself has no columns.
type parser struct{ around []reflect.Type }

func (p *parser) fields(t reflect.Type) ([]field, error) {
	if slices.Contains(p.around, t) {
		return nil, fmt.Errorf("type %s holds itself, which no column can", t)
	}
	p.around = append(p.around, t)
	defer func() { p.around = p.around[:len(p.around)-1] }()
	fields, err := p.collect(t, nil)
	if err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("type %s has no exported fields", t)
	}
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.name] {
			return nil, fmt.Errorf("type %s has two columns named %q", t, f.name)
		}
		seen[f.name] = true
	}
	return fields, nil
}

func (p *parser) collect(t reflect.Type, path []int) ([]field, error) {
	var fields []field
	var faults []error
	for i := range t.NumField() {
		goField := t.Field(i)
		index := slices.Concat(path, []int{i})
		tag := tagOf(goField)
		if tag.skip {
			continue
		}
		if goField.Anonymous && !tag.named && goField.Type.Kind() == reflect.Struct && !special(goField.Type) {
			embedded, err := p.collect(goField.Type, index)
			fields, faults = append(fields, embedded...), append(faults, err)
			continue
		}
		if !goField.IsExported() {
			continue
		}
		k, err := p.kindOf(goField.Type, tag)
		if err != nil {
			faults = append(faults, fmt.Errorf("field %q: %w", tag.name, err))
			continue
		}
		fields = append(fields, field{kind: k, name: tag.name, index: index, meta: tag.meta})
	}
	return fields, errors.Join(faults...)
}

func arrowFields(fields []field) []arrow.Field {
	out := make([]arrow.Field, len(fields))
	for i, f := range fields {
		out[i] = arrow.Field{Name: f.name, Type: f.typ, Nullable: f.nullable, Metadata: f.meta}
	}
	return out
}

func bindFields(fields []field, builders []array.Builder) []appender {
	appenders := make([]appender, len(fields))
	for i, f := range fields {
		appenders[i] = f.bind(builders[i])
	}
	return appenders
}

// appendFields appends every field, also past one that fails, and returns the first fault.
func appendFields(fields []field, appenders []appender, row reflect.Value) error {
	var fault error
	for i := range fields {
		var v reflect.Value
		if index := fields[i].index; len(index) == 1 {
			v = row.Field(index[0])
		} else {
			v = row.FieldByIndex(index)
		}
		if err := appenders[i](v); err != nil && fault == nil {
			fault = fmt.Errorf("field %q: %w", fields[i].name, err)
		}
	}
	return fault
}

func metadata(doc, tags string) arrow.Metadata {
	pairs := map[string]string{}
	if doc != "" {
		pairs[sdk.MetaDoc] = doc
	}
	if tags != "" {
		pairs[sdk.MetaTags] = tags
	}
	return arrow.MetadataFrom(pairs)
}
