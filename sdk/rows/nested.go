package rows

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// nested finds the kind of types that hold others; ok is false for a type that does not.
func (p *parser) nested(t reflect.Type, tag tag) (k kind, ok bool, err error) {
	bytes := (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && t.Elem().Kind() == reflect.Uint8
	switch {
	case special(t) || t == typeRawJSON:
		return kind{}, false, nil
	case bytes && t.Kind() == reflect.Slice:
		return bytesKind(), true, tag.noOptions()
	case bytes && t.Len() > 0:
		return byteArrayKind(t), true, tag.noOptions()
	case t.Kind() == reflect.Struct:
		k, err = p.structure(t)
	case t.Kind() == reflect.Slice:
		k, err = p.slice(t, tag)
	case t.Kind() == reflect.Array && t.Len() > 0:
		k, err = p.array(t, tag)
	case t.Kind() == reflect.Map:
		k, err = p.mapping(t, tag)
	default:
		return kind{}, false, nil
	}
	return k, true, err
}

func (p *parser) pointer(t reflect.Type, tag tag) (kind, error) {
	inner, err := p.kindOf(t.Elem(), tag)
	if err != nil {
		return kind{}, err
	}
	return kind{
		typ: inner.typ, nullable: true,
		bind: func(b array.Builder) appender {
			appendInner := inner.bind(b)
			return func(v reflect.Value) error {
				if v.IsNil() {
					b.AppendNull()
					return nil
				}
				return appendInner(v.Elem())
			}
		},
		read: func(a arrow.Array) (reader, error) {
			readInner, err := inner.read(a)
			if err != nil {
				return nil, err
			}
			return func(row int, into reflect.Value) error {
				into.Set(reflect.New(t.Elem()))
				return readInner(row, into.Elem())
			}, nil
		},
	}, nil
}

// null is the kind of sql.Null[T] and its older relatives: the value is their first field, Valid the second.
func (p *parser) null(t reflect.Type, tag tag) (kind, error) {
	inner, err := p.kindOf(t.Field(0).Type, tag)
	if err != nil {
		return kind{}, err
	}
	return kind{
		typ: inner.typ, nullable: true,
		bind: func(b array.Builder) appender {
			appendInner := inner.bind(b)
			return func(v reflect.Value) error {
				if !v.Field(1).Bool() {
					b.AppendNull()
					return nil
				}
				return appendInner(v.Field(0))
			}
		},
		read: func(a arrow.Array) (reader, error) {
			readInner, err := inner.read(a)
			if err != nil {
				return nil, err
			}
			return func(row int, into reflect.Value) error {
				into.Field(1).SetBool(true)
				return readInner(row, into.Field(0))
			}, nil
		},
	}, nil
}

func (p *parser) structure(t reflect.Type) (kind, error) {
	fields, err := p.fields(t)
	if err != nil {
		return kind{}, err
	}
	return kind{
		typ: arrow.StructOf(arrowFields(fields)...),
		bind: func(b array.Builder) appender {
			builder := b.(*array.StructBuilder)
			children := make([]array.Builder, len(fields))
			for i := range children {
				children[i] = builder.FieldBuilder(i)
			}
			appenders := bindFields(fields, children)
			return func(v reflect.Value) error {
				builder.Append(true)
				return appendFields(fields, appenders, v)
			}
		},
		read: func(a arrow.Array) (reader, error) {
			typed, ok := a.(*array.Struct)
			if !ok {
				return nil, mismatch(a, arrow.StructOf(arrowFields(fields)...))
			}
			kind, _ := typed.DataType().(*arrow.StructType)
			read, err := readFields(fields, func(name string) arrow.Array {
				if i, ok := kind.FieldIdx(name); ok {
					return typed.Field(i)
				}
				return nil
			})
			return read, err
		},
	}, nil
}

func (p *parser) slice(t reflect.Type, tag tag) (kind, error) {
	element, err := p.kindOf(t.Elem(), tag)
	if err != nil {
		return kind{}, err
	}
	typ := arrow.ListOfField(arrow.Field{Name: "item", Type: element.typ, Nullable: element.nullable})
	return kind{
		typ: typ, nullable: true,
		bind: func(b array.Builder) appender {
			builder := b.(*array.ListBuilder)
			appendElement := element.bind(builder.ValueBuilder())
			return func(v reflect.Value) error {
				if v.IsNil() {
					builder.AppendNull()
					return nil
				}
				builder.Append(true)
				return appendElements(appendElement, v)
			}
		},
		read: func(a arrow.Array) (reader, error) {
			return readList(element, a, typ, func(into reflect.Value, n int) error {
				into.Set(reflect.MakeSlice(t, n, n))
				return nil
			})
		},
	}, nil
}

func (p *parser) array(t reflect.Type, tag tag) (kind, error) {
	element, err := p.kindOf(t.Elem(), tag)
	if err != nil {
		return kind{}, err
	}
	size := int32(t.Len()) //nolint:gosec // a Go array of more does not fit into memory
	typ := arrow.FixedSizeListOfField(size, arrow.Field{Name: "item", Type: element.typ, Nullable: element.nullable})
	return kind{
		typ: typ,
		bind: func(b array.Builder) appender {
			builder := b.(*array.FixedSizeListBuilder)
			appendElement := element.bind(builder.ValueBuilder())
			return func(v reflect.Value) error {
				builder.Append(true)
				return appendElements(appendElement, v)
			}
		},
		read: func(a arrow.Array) (reader, error) {
			return readList(element, a, typ, func(_ reflect.Value, n int) error {
				if n != t.Len() {
					return fmt.Errorf("a list of %d values, expected %d", n, t.Len())
				}
				return nil
			})
		},
	}, nil
}

func appendElements(appendElement appender, v reflect.Value) error {
	var fault error
	for i := range v.Len() {
		if err := appendElement(v.Index(i)); err != nil && fault == nil {
			fault = fmt.Errorf("element %d: %w", i, err)
		}
	}
	return fault
}

// readList reads lists of any kind; resize makes room for n elements.
func readList(element kind, a arrow.Array, want arrow.DataType, resize func(into reflect.Value, n int) error) (reader, error) {
	list, ok := a.(array.ListLike)
	if _, isMap := a.(*array.Map); !ok || isMap {
		return nil, mismatch(a, want)
	}
	readElement, err := orNull(element, list.ListValues())
	if err != nil {
		return nil, err
	}
	return func(row int, into reflect.Value) error {
		from, to := list.ValueOffsets(row)
		if err := resize(into, int(to-from)); err != nil {
			return err
		}
		for i := range int(to - from) {
			if err := readElement(int(from)+i, into.Index(i)); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	}, nil
}

func (p *parser) mapping(t reflect.Type, tag tag) (kind, error) {
	key, ok := scalarKind(t.Key())
	if !ok || t.Key().Kind() == reflect.Bool {
		return kind{}, fmt.Errorf("type %s has no column type, keys are texts or numbers", t)
	}
	item, err := p.kindOf(t.Elem(), tag)
	if err != nil {
		return kind{}, err
	}
	typ := arrow.MapOf(key.typ, item.typ)
	typ.SetItemNullable(item.nullable)
	return kind{
		typ: typ, nullable: true,
		bind: func(b array.Builder) appender {
			builder := b.(*array.MapBuilder)
			appendKey, appendItem := key.bind(builder.KeyBuilder()), item.bind(builder.ItemBuilder())
			return func(v reflect.Value) error {
				if v.IsNil() {
					builder.AppendNull()
					return nil
				}
				builder.Append(true)
				return appendEntries(appendKey, appendItem, v)
			}
		},
		read: func(a arrow.Array) (reader, error) { return readMap(t, key, item, a, typ) },
	}, nil
}

func appendEntries(appendKey, appendItem appender, v reflect.Value) error {
	var fault error
	for _, k := range slices.SortedFunc(slices.Values(v.MapKeys()), compareKeys) {
		if err := appendKey(k); err != nil && fault == nil {
			fault = fmt.Errorf("key: %w", err)
		}
		if err := appendItem(v.MapIndex(k)); err != nil && fault == nil {
			fault = fmt.Errorf("key %v: %w", k, err)
		}
	}
	return fault
}

func compareKeys(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	case a.CanFloat():
		return cmp.Compare(a.Float(), b.Float())
	}
	return cmp.Compare(a.String(), b.String())
}

func readMap(t reflect.Type, key, item kind, a arrow.Array, want arrow.DataType) (reader, error) {
	typed, ok := a.(*array.Map)
	if !ok {
		return nil, mismatch(a, want)
	}
	readKey, err := orNull(key, typed.Keys())
	if err != nil {
		return nil, err
	}
	readItem, err := orNull(item, typed.Items())
	if err != nil {
		return nil, err
	}
	return func(row int, into reflect.Value) error {
		from, to := typed.ValueOffsets(row)
		into.Set(reflect.MakeMapWithSize(t, int(to-from)))
		for i := int(from); i < int(to); i++ {
			k, v := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			if err := readKey(i, k); err != nil {
				return fmt.Errorf("key: %w", err)
			}
			if err := readItem(i, v); err != nil {
				return fmt.Errorf("key %v: %w", k, err)
			}
			into.SetMapIndex(k, v)
		}
		return nil
	}, nil
}
