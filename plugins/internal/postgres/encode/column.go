package encode

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// metaFormat is json for text that is JSON.
const metaFormat = "qanat.format"

// Column encodes values of one Arrow type for columns of one PostgreSQL type. It may be used by several goroutines at once.
type Column struct {
	Name string
	Wire string // the type that values are sent as, if it is not the column's own: then the server must cast

	bind binder
	cast string // a format for SQL of the sent value
}

// Cast words the column's value of SQL that has the type Wire.
func (c *Column) Cast(sql string) string {
	if c.Wire == "" {
		return sql
	}
	return fmt.Sprintf(c.cast, sql)
}

// Cells are the values of one array. Null is nil if there is no null; Put appends the binary form of a value without its length.
type Cells struct {
	Null func(row int) bool
	Put  func(to []byte, row int) ([]byte, error)
}

type binder func(arrow.Array) Cells

// New encodes a field's values for a column of a type, or says *UnfitError.
func New(f arrow.Field, t Type) (*Column, error) {
	c := &Column{Name: f.Name}
	var ok bool
	if c.bind, ok = direct(f.Type, t); ok {
		return c, nil
	}
	// A cast to a type without its modifier neither rounds nor cuts: storing the value checks it.
	c.cast = "%s::" + strings.ReplaceAll(t.Bare, "%", "%%")
	if c.bind, c.Wire, ok = byCast(f.Type, t); ok {
		return c, nil
	}
	if _, isStruct := values(f.Type).(*arrow.StructType); isStruct && t.Kind == 'c' {
		c.cast = "pg_catalog.jsonb_populate_record(null::" + strings.ReplaceAll(t.Bare, "%", "%%") + ", %s)"
		c.Wire = "jsonb"
		c.bind, ok = direct(f.Type, Type{Name: "jsonb", Builtin: true, Mod: -1})
	}
	if ok {
		return c, nil
	}
	return nil, &UnfitError{Column: f.Name, Arrow: f.Type.String(), Type: t.SQL}
}

// Cells binds the column to an array of its type.
func (c *Column) Cells(a arrow.Array) Cells {
	cells := c.bind(a)
	put := cells.Put
	cells.Put = func(to []byte, row int) ([]byte, error) {
		to, err := put(to, row)
		if err != nil {
			return to, c.fault(err)
		}
		return to, nil
	}
	return cells
}

// plain are the cells of an array that knows its nulls.
func plain(a arrow.Array, put func(to []byte, row int) ([]byte, error)) Cells {
	if a.NullN() == 0 {
		return Cells{Put: put}
	}
	return Cells{Null: a.IsNull, Put: put}
}

// byCast sends what the server can cast: text for anything, lists of text for arrays.
func byCast(dt arrow.DataType, t Type) (binder, string, bool) {
	text := Type{Declared: textOID, Name: "text", Kind: 'b', Builtin: true, Mod: -1, SQL: "text"}
	switch dt := values(dt).(type) {
	case arrow.ListLikeType:
		if t.Element == nil || !isString(values(dt.Elem())) {
			return nil, "", false
		}
		bind, ok := direct(dt, Type{Name: "_text", Kind: 'b', Builtin: true, Mod: -1, Element: &text, SQL: "text[]"})
		return bind, "text[]", ok
	default:
		if !isString(dt) || t.Name == "bytea" && t.Builtin {
			return nil, "", false
		}
	}
	bind, ok := direct(dt, text)
	return bind, "text", ok
}

// values is the type of a type's values: what dictionaries and run-end encoded arrays hold.
func values(dt arrow.DataType) arrow.DataType {
	switch dt := dt.(type) {
	case *arrow.DictionaryType:
		return values(dt.ValueType)
	case *arrow.RunEndEncodedType:
		return values(dt.Encoded())
	case *extensions.UUIDType, *extensions.Bool8Type:
		return dt
	case arrow.ExtensionType:
		return values(dt.StorageType())
	}
	return dt
}

// direct encodes for the column's own type.
func direct(dt arrow.DataType, t Type) (binder, bool) {
	switch dt := dt.(type) {
	case *arrow.DictionaryType:
		return indexed(dt.ValueType, t, func(a arrow.Array) (arrow.Array, func(int) int) {
			d := a.(*array.Dictionary)
			return d.Dictionary(), d.GetValueIndex
		})
	case *arrow.RunEndEncodedType:
		return indexed(dt.Encoded(), t, func(a arrow.Array) (arrow.Array, func(int) int) {
			r := a.(*array.RunEndEncoded)
			return r.Values(), r.GetPhysicalIndex
		})
	case *extensions.UUIDType, *extensions.Bool8Type:
	case arrow.ExtensionType:
		inner, ok := direct(dt.StorageType(), t)
		return func(a arrow.Array) Cells { return inner(a.(array.ExtensionArray).Storage()) }, ok
	}
	switch {
	case dt.ID() == arrow.NULL:
		return func(arrow.Array) Cells { return Cells{Null: func(int) bool { return true }, Put: putNothing} }, true
	case isJSON(t):
		return asJSON(dt, t)
	case t.Element != nil:
		return asArray(dt, t)
	case t.Name == "hstore" && !t.Builtin:
		return asHstore(dt)
	case isText(t) && !isString(dt):
		return asText(dt)
	case t.Kind == 'e' || t.Name == "citext" && !t.Builtin:
		return fromString(dt, nil)
	case !t.Builtin:
		return nil, false
	}
	return simple(dt, t)
}

func putNothing(to []byte, _ int) ([]byte, error) { return to, nil }

// indexed encodes arrays that point at values.
func indexed(dt arrow.DataType, t Type, open func(arrow.Array) (arrow.Array, func(int) int)) (binder, bool) {
	inner, ok := direct(dt, t)
	return func(a arrow.Array) Cells {
		held, at := open(a)
		cells := inner(held)
		return Cells{
			Null: func(row int) bool {
				return a.IsNull(row) || cells.Null != nil && cells.Null(at(row))
			},
			Put: func(to []byte, row int) ([]byte, error) { return cells.Put(to, at(row)) },
		}
	}, ok
}

func isJSON(t Type) bool { return t.Builtin && (t.Name == "json" || t.Name == "jsonb") }

func isText(t Type) bool {
	return t.Builtin && (t.Name == "text" || t.Name == "varchar" || t.Name == "bpchar") || !t.Builtin && t.Name == "citext"
}

// simple encodes for PostgreSQL's own types of single values.
func simple(dt arrow.DataType, t Type) (binder, bool) {
	switch t.Name {
	case "bool":
		return asBool(dt)
	case "int2", "int4", "int8", "oid", "xid", "cid":
		return asInteger(dt, t.Name)
	case "float4", "float8":
		return asFloat(dt, t.Name)
	case "numeric":
		return asNumeric(dt, t.Mod)
	case "text", "varchar", "bpchar", "name":
		return fromString(dt, nil)
	case "bytea":
		return fromBinary(dt)
	case "uuid":
		return asUUID(dt)
	case "date":
		return asDate(dt)
	case "time":
		return asTime(dt, t.Mod)
	case "timestamp", "timestamptz":
		return asTimestamp(dt, t)
	case "interval":
		return asInterval(dt)
	}
	return nil, false
}

// Default is the type, in SQL, of a column that is made for a field.
func Default(f arrow.Field) string {
	if format, _ := f.Metadata.GetValue(metaFormat); format == "json" && isString(values(f.Type)) {
		return "jsonb"
	}
	return defaultOf(f.Type)
}

func defaultOf(dt arrow.DataType) string {
	switch dt := values(dt).(type) {
	case *extensions.UUIDType:
		return "uuid"
	case arrow.DecimalType:
		return decimalSQL(dt)
	case *arrow.TimestampType:
		if dt.TimeZone != "" {
			return "timestamptz"
		}
		return "timestamp"
	case *arrow.MapType:
		return "jsonb"
	case arrow.ListLikeType:
		element := elementField(dt)
		if inner := Default(element); inner != "jsonb" || isString(values(element.Type)) {
			if _, nested := values(element.Type).(arrow.ListLikeType); !nested {
				return inner + "[]"
			}
		}
		return "jsonb"
	default:
		return plainDefault(dt.ID())
	}
}

// elementField is the field of a list's elements.
func elementField(dt arrow.ListLikeType) arrow.Field {
	f := dt.ElemField()
	f.Type = dt.Elem()
	return f
}

func plainDefault(id arrow.Type) string {
	switch id {
	case arrow.BOOL, arrow.EXTENSION: // of extensions, values leaves only uuid and bool8
		return "boolean"
	case arrow.INT8, arrow.INT16, arrow.UINT8:
		return "smallint"
	case arrow.INT32, arrow.UINT16:
		return "integer"
	case arrow.INT64, arrow.UINT32:
		return "bigint"
	case arrow.UINT64:
		return "numeric(20,0)"
	case arrow.FLOAT16, arrow.FLOAT32:
		return "real"
	case arrow.FLOAT64:
		return "double precision"
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW, arrow.FIXED_SIZE_BINARY:
		return "bytea"
	case arrow.DATE32, arrow.DATE64:
		return "date"
	case arrow.TIME32, arrow.TIME64:
		return "time"
	case arrow.DURATION, arrow.INTERVAL_MONTHS, arrow.INTERVAL_DAY_TIME, arrow.INTERVAL_MONTH_DAY_NANO:
		return "interval"
	case arrow.STRUCT, arrow.SPARSE_UNION, arrow.DENSE_UNION:
		return "jsonb"
	}
	return "text"
}

// maxPrecision is how many digits a numeric may be declared with.
const maxPrecision = 1000

func decimalSQL(dt arrow.DecimalType) string {
	p, s := dt.GetPrecision(), dt.GetScale()
	if s < 0 { // only since PostgreSQL 15
		p, s = p-s, 0
	}
	return fmt.Sprintf("numeric(%d,%d)", min(max(p, s), maxPrecision), s)
}
