package jsonfile

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
)

const (
	maxDepth = 16  // deeper values become JSON text
	maxKeys  = 500 // an object with more different keys is a map rather than a struct, and becomes JSON text
)

// shape is what has been seen of the values of a column.
type shape struct {
	bools   bool
	numbers column.Guess
	texts   column.Guess
	fields  map[string]*shape
	names   []string // of fields, in the order of their first appearance
	items   *shape
	deep    bool // there are values that are nested too deeply for structs and lists
}

// see takes a value into account.
func (s *shape) see(d *decoder, depth int) error {
	switch d.PeekKind() {
	case 'n':
		return d.SkipValue()
	case 't', 'f':
		s.bools = true
		return d.SkipValue()
	case '0':
		raw, err := d.ReadValue()
		if err == nil {
			s.numbers.SeeNumber(raw)
		}
		return err
	case '"':
		raw, err := d.ReadValue()
		if err == nil {
			s.texts.SeeTime(d.unquote(raw))
		}
		return err
	case '{':
		return s.seeObject(d, depth)
	case '[':
		return s.seeList(d, depth)
	}
	return d.SkipValue()
}

func (s *shape) seeObject(d *decoder, depth int) error {
	if depth > maxDepth {
		s.deep = true
		return d.SkipValue()
	}
	if s.fields == nil {
		s.fields = map[string]*shape{}
	}
	return d.object(func(name []byte) error {
		field, there := s.fields[string(name)]
		if !there {
			field = &shape{}
			s.fields[string(name)] = field
			s.names = append(s.names, string(name))
		}
		return field.see(d, depth+1)
	})
}

func (s *shape) seeList(d *decoder, depth int) error {
	if depth > maxDepth {
		s.deep = true
		return d.SkipValue()
	}
	if s.items == nil {
		s.items = &shape{}
	}
	return d.list(func() error { return s.items.see(d, depth+1) })
}

// children are the columns for what was seen in objects. Have is what the stream has of them.
func (s *shape) children(have *arrow.StructType, all bool) []arrow.Field {
	var fields []arrow.Field
	for _, name := range s.names {
		var known *arrow.Field
		if have != nil {
			if f, ok := have.FieldByName(name); ok {
				known = &f
			}
		}
		if f, ok := s.fields[name].field(name, known, all); ok {
			fields = append(fields, f)
		}
	}
	return fields
}

// field is the column for the shape; false if only nulls were seen. A struct or list that the stream already has goes on as one
// even if other values occur too, so that its new fields are found.
func (s *shape) field(name string, have *arrow.Field, strings bool) (arrow.Field, bool) {
	if have != nil {
		if t, ok := have.Type.(*arrow.StructType); ok && s.fields != nil {
			return column.Field(name, arrow.StructOf(s.children(t, strings)...)), true
		}
		if t, ok := have.Type.(*arrow.ListType); ok && s.items != nil {
			known := t.ElemField()
			item, ok := s.items.field(known.Name, &known, strings)
			return column.Field(name, arrow.ListOfField(item)), ok
		}
	}
	scalars := s.scalarKinds()
	switch {
	case s.deep || (s.fields != nil && s.items != nil) || (scalars > 0 && (s.fields != nil || s.items != nil)):
		return column.JSONField(name), true
	case s.fields != nil:
		return s.structField(name, strings), true
	case s.items != nil:
		return s.listField(name, strings), true
	case scalars == 0:
		return arrow.Field{}, false
	}
	return column.Field(name, s.scalarType(scalars, strings)), true
}

func (s *shape) scalarKinds() int {
	n := 0
	for _, there := range []bool{s.bools, s.numbers != 0, s.texts != 0} {
		if there {
			n++
		}
	}
	return n
}

func (s *shape) scalarType(kinds int, strings bool) arrow.DataType {
	switch {
	case strings || kinds > 1:
		return arrow.BinaryTypes.String
	case s.bools:
		return arrow.FixedWidthTypes.Boolean
	case s.numbers != 0:
		return s.numbers.Type()
	}
	return s.texts.Type()
}

func (s *shape) structField(name string, strings bool) arrow.Field {
	fields := s.children(nil, strings)
	if strings || len(fields) == 0 || len(fields) > maxKeys {
		return column.JSONField(name)
	}
	return column.Field(name, arrow.StructOf(fields...))
}

func (s *shape) listField(name string, strings bool) arrow.Field {
	item, ok := s.items.field("element", nil, strings)
	if strings || !ok {
		return column.JSONField(name)
	}
	return column.Field(name, arrow.ListOfField(item))
}

// fresh is the number of columns that a record's shape has and neither the shape so far nor the stream.
func (s *shape) fresh(all *shape, known arrow.DataType) int {
	n := 0
	have, _ := known.(*arrow.StructType)
	for name, field := range s.fields {
		var before *shape
		if all != nil {
			before = all.fields[name]
		}
		var kind arrow.DataType
		if have != nil {
			if f, ok := have.FieldByName(name); ok {
				kind = f.Type
			}
		}
		n += field.freshIn(before, kind)
	}
	if s.items != nil {
		var before *shape
		if all != nil {
			before = all.items
		}
		var kind arrow.DataType
		if list, ok := known.(*arrow.ListType); ok {
			kind = list.Elem()
		}
		n += s.items.freshIn(before, kind)
	}
	return n
}

func (s *shape) freshIn(all *shape, known arrow.DataType) int {
	n := s.fresh(all, known)
	if all == nil && known == nil {
		n++
	}
	return n
}

// infer finds the columns of the block's records, leaving out what is not JSON, and records that would make too many of them. Known
// are the columns of the stream.
func (b *jsonBlock) infer(known *arrow.Schema) []arrow.Field {
	all := &shape{}
	var have *arrow.StructType
	columns := 0
	if known != nil {
		have = arrow.StructOf(known.Fields()...)
		columns = column.Count(known.Fields())
	}
	var d decoder
	for i := range b.rows {
		one, ok := b.shapeOf(&d, i)
		if !ok {
			continue
		}
		fresh := one.fresh(all, have)
		if columns+fresh > column.MaxColumns {
			continue
		}
		columns += fresh
		d.begin(b.text(i))
		_ = all.see(&d, 0) // it has just been read without an error
	}
	return all.children(have, b.reader.settings.AllStrings)
}

// shapeOf is the shape of one record; false if it is not an object.
func (b *jsonBlock) shapeOf(d *decoder, i int) (*shape, bool) {
	for range 2 {
		one := &shape{}
		d.begin(b.text(i))
		if d.PeekKind() != '{' {
			return nil, false
		}
		err := one.see(d, 0)
		if repeats(err) && b.lastOnly() {
			continue
		}
		return one, err == nil && d.atEnd()
	}
	return nil, false
}
