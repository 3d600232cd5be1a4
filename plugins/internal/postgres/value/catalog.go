package value

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// Bounds of what a column's type may consist of; a type beyond them is kept as text.
const (
	maxDepth  = 32
	maxFields = 2000
)

// Catalog knows the types that columns have. Load fills it; several goroutines may then use it as long as none loads.
type Catalog struct{ types map[uint32]*pgType }

// pgType is a row of pg_type, with what belongs to it.
type pgType struct {
	name, schema string
	variety      byte // typtype: b, c, d, e, r, m, p; 0 when the server does not know the type
	array        bool
	element      uint32
	base         uint32
	typmod       int32 // of a domain's base
	delimiter    byte
	extension    string
	attributes   []attribute
	labels       []string
}

type attribute struct {
	name   string
	oid    uint32
	typmod int32
}

// NewCatalog makes an empty one.
func NewCatalog() *Catalog { return &Catalog{types: map[uint32]*pgType{}} }

// UnknownTypeError says that Load was not asked for a type.
type UnknownTypeError struct{ OID uint32 }

func (e *UnknownTypeError) Error() string { return fmt.Sprintf("type %d is not in the catalog", e.OID) }

// Column maps a column of a loaded type. A type that the server did not know when it was asked, because it has been dropped since, is
// text.
func (c *Catalog) Column(name string, oid uint32, typmod int32, o Options) (*Column, error) {
	k, err := (&resolver{types: c.types, options: o}).resolve(oid, typmod, 0)
	if errors.Is(err, errWide) {
		k, err = printed(c.types[oid].title(typmod)), nil
	}
	if err != nil {
		return nil, fmt.Errorf("column %q: %w", name, err)
	}
	return &Column{Name: name, Type: k.arrow, kind: k, pgName: k.name}, nil
}

var errWide = errors.New("the type has too many attributes")

type resolver struct {
	types   map[uint32]*pgType
	options Options
	fields  int
	open    []uint32 // the composites that are being resolved
}

// printed keeps values as PostgreSQL prints them.
func printed(name string) kind {
	return kind{codec: textCodec{}, arrow: arrow.BinaryTypes.String, name: name, cells: 1}
}

func (r *resolver) resolve(oid uint32, typmod int32, depth int) (kind, error) {
	t, ok := r.types[oid]
	if !ok {
		return kind{}, &UnknownTypeError{OID: oid}
	}
	name := t.title(typmod)
	if depth > maxDepth {
		return printed(name), nil
	}
	switch {
	case t.variety == 'd':
		k, err := r.resolve(t.base, t.typmod, depth+1)
		k.name = name
		return k, err
	case t.variety == 'c':
		return r.composite(oid, t, depth)
	case t.variety == 'e':
		return kind{codec: textCodec{}, arrow: arrow.BinaryTypes.String, name: name, portable: true, labels: t.labels, cells: 1}, nil
	case t.array:
		return r.array(t, typmod, depth)
	case t.extension == "hstore" && t.name == "hstore":
		return kind{codec: hstoreCodec{}, arrow: hstoreType(), name: name, portable: true, nested: true, cells: 1}, nil
	case t.extension == "citext" && t.name == "citext":
		return kind{codec: textCodec{}, arrow: arrow.BinaryTypes.String, name: name, portable: true, cells: 1}, nil
	case t.variety == 'b' && t.schema == "pg_catalog":
		return r.simple(t.name, name, typmod), nil
	}
	return printed(name), nil
}

func hstoreType() arrow.DataType {
	return arrow.MapOfFields(
		arrow.Field{Name: "key", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "value", Type: arrow.BinaryTypes.String, Nullable: true})
}

func (r *resolver) array(t *pgType, typmod int32, depth int) (kind, error) {
	element, ok := r.types[t.element]
	if !ok {
		return kind{}, &UnknownTypeError{OID: t.element}
	}
	name := element.title(typmod) + "[]"
	if r.options.Arrays == ArraysText {
		return printed(name), nil
	}
	k, err := r.resolve(t.element, typmod, depth+1)
	if err != nil {
		return kind{}, err
	}
	return kind{
		codec: arrayCodec{element: k, oid: t.element, delimiter: element.delimiter},
		arrow: arrow.ListOfField(k.field("element")), name: name, portable: k.portable, nested: true, cells: 1,
	}, nil
}

func (r *resolver) composite(oid uint32, t *pgType, depth int) (kind, error) {
	if len(t.attributes) == 0 || slices.Contains(r.open, oid) {
		return printed(t.title(-1)), nil
	}
	if r.fields += len(t.attributes); r.fields > maxFields {
		return kind{}, errWide
	}
	r.open = append(r.open, oid)
	defer func() { r.open = r.open[:len(r.open)-1] }()
	whole := kind{name: t.title(-1), portable: true, nested: true, cells: 1}
	members := make([]member, len(t.attributes))
	fields := make([]arrow.Field, len(t.attributes))
	for i, a := range t.attributes {
		k, err := r.resolve(a.oid, a.typmod, depth+1)
		if err != nil {
			return kind{}, err
		}
		members[i] = member{kind: k, attribute: a.name, oid: a.oid}
		fields[i] = k.field(a.name)
		whole.portable = whole.portable && k.portable
		whole.cells += k.cells
	}
	whole.codec, whole.arrow = compositeCodec{attributes: members}, arrow.StructOf(fields...)
	return whole, nil
}

// simple maps PostgreSQL's own types.
func (r *resolver) simple(typname, name string, typmod int32) kind {
	k := kind{codec: textCodec{}, arrow: arrow.BinaryTypes.String, name: name, portable: true, cells: 1}
	switch typname {
	case "text", "varchar", "bpchar", "name":
	case "json":
		k.json = true
	case "jsonb":
		k.codec, k.json = jsonbCodec{}, true
	case "numeric":
		return decimalKind(k, typmod)
	case "bytea":
		k.codec, k.arrow = byteaCodec{}, arrow.BinaryTypes.Binary
	case "uuid":
		k.codec, k.arrow = uuidCodec{}, extensions.NewUUIDType()
	case "date":
		k.codec, k.arrow = dateCodec{r.options.Unheld}, arrow.FixedWidthTypes.Date32
	case "time":
		k.codec, k.arrow = timeCodec{r.options.Unheld}, arrow.FixedWidthTypes.Time64us
	case "timestamp":
		k.codec, k.arrow = timestampCodec{false, r.options.Unheld}, &arrow.TimestampType{Unit: arrow.Microsecond}
	case "timestamptz":
		k.codec, k.arrow = timestampCodec{true, r.options.Unheld}, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	default:
		return numberKind(k, typname)
	}
	return k
}

func numberKind(k kind, typname string) kind {
	switch typname {
	case "bool":
		k.codec, k.arrow = boolCodec{}, arrow.FixedWidthTypes.Boolean
	case "int2":
		k.codec, k.arrow = int2Codec{}, arrow.PrimitiveTypes.Int32
	case "int4":
		k.codec, k.arrow = int4Codec{}, arrow.PrimitiveTypes.Int32
	case "int8":
		k.codec, k.arrow = int8Codec{}, arrow.PrimitiveTypes.Int64
	case "oid", "xid", "cid":
		k.codec, k.arrow = oidCodec{}, arrow.PrimitiveTypes.Int64
	case "float4":
		k.codec, k.arrow = float4Codec{}, arrow.PrimitiveTypes.Float32
	case "float8":
		k.codec, k.arrow = float8Codec{}, arrow.PrimitiveTypes.Float64
	default:
		return printed(k.name)
	}
	return k
}

func decimalKind(k kind, typmod int32) kind {
	precision, scale, ok := numericModifier(typmod)
	if !ok || precision < 1 || precision > maxPrecision || scale < 0 || scale > precision {
		k.codec = numericCodec{}
		return k
	}
	k.codec = decimalCodec{precision: precision, scale: int(scale)}
	k.arrow = &arrow.Decimal128Type{Precision: precision, Scale: scale}
	return k
}

// Modifiers of text and numbers have the size of a header added.
const headerSize = 4

// numericModifier is as in PostgreSQL's numeric.c: the scale is signed and has 11 bits.
func numericModifier(typmod int32) (precision, scale int32, ok bool) {
	if typmod < headerSize {
		return 0, 0, false
	}
	packed := typmod - headerSize
	return packed >> 16 & 0xffff, packed&0x7ff ^ 1024 - 1024, true
}

// title is the type as people write it, without quotes.
func (t *pgType) title(typmod int32) string {
	switch {
	case t.schema != "" && t.schema != "pg_catalog" && t.schema != "public":
		return t.schema + "." + t.name
	case t.schema != "pg_catalog" || typmod < 0:
		return t.name
	}
	switch t.name {
	case "numeric":
		if precision, scale, ok := numericModifier(typmod); ok {
			return fmt.Sprintf("numeric(%d,%d)", precision, scale)
		}
	case "varchar", "bpchar":
		return t.name + "(" + strconv.Itoa(int(typmod-headerSize)) + ")"
	case "bit", "varbit", "time", "timetz", "timestamp", "timestamptz":
		return t.name + "(" + strconv.Itoa(int(typmod)) + ")"
	}
	return t.name
}
