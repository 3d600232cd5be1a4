package yamltree

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Decode fills a struct from a map and returns everything that doesn't fit: unknown and missing keys,
// wrong types, values outside an enumeration. Keys are named by json tags; required, enum= and minimum=
// of jsonschema tags are enforced, so that one tag serves the decoder and the published schema. A field
// of type *Node takes its value as it is; an encoding.TextUnmarshaler gets text and numbers as written.
// Null counts as absent: the field keeps the value that it had.
func Decode(n *Node, into any) []Fault {
	d := decoder{root: n}
	d.structure("", n, reflect.ValueOf(into).Elem())
	return d.faults
}

// Hinted is an error of a TextUnmarshaler that knows what to do about it.
type Hinted interface {
	error
	Hint() string
}

type decoder struct {
	root   *Node
	faults []Fault
}

// fault notes what is wrong at a path; hint may be empty.
func (d *decoder) fault(path, code, message, hint string) {
	d.faults = append(d.faults, d.root.Fault(path, code, message).WithHint(hint))
}

func (d *decoder) expected(path, what string, n *Node, hint string) {
	d.fault(path, "wrong-type", fmt.Sprintf("expected %s, found %s", what, n.Kind()), hint)
}

type field struct {
	name  string
	rules string // the jsonschema tag
	value reflect.Value
}

func (f field) required() bool {
	return strings.HasPrefix(f.rules, "required")
}

// rule lists the values of a rule such as enum=.
func (f field) rule(name string) []string {
	var values []string
	for part := range strings.SplitSeq(f.rules, ",") {
		if value, ok := strings.CutPrefix(part, name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

// fieldsOf lists the fields of a struct, those of embedded structs among them.
func fieldsOf(v reflect.Value) []field {
	var fields []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			fields = append(fields, fieldsOf(v.Field(i))...)
		case name != "" && name != "-":
			fields = append(fields, field{name, f.Tag.Get("jsonschema"), v.Field(i)})
		}
	}
	return fields
}

func (d *decoder) structure(path string, n *Node, v reflect.Value) {
	if n.Kind() != Map {
		d.expected(path, "a map", n, "")
		return
	}
	fields := fieldsOf(v)
	names := make([]string, len(fields))
	known := make(map[string]field, len(fields))
	for i, f := range fields {
		names[i], known[f.name] = f.name, f
	}
	for _, e := range n.entries {
		f, ok := known[e.Key]
		if !ok {
			unknown := d.root.KeyFault(path, e.Key, "unknown-key", fmt.Sprintf("unknown key %q", e.Key))
			d.faults = append(d.faults, unknown.WithHint(Suggest(e.Key, names)))
			continue
		}
		d.value(Join(path, e.Key), e.Value, f)
	}
	for _, f := range fields {
		if f.required() && n.Field(f.name).Kind() == Null {
			d.fault(path, "missing-key", fmt.Sprintf("key %q is missing", f.name), "")
		}
	}
}

func (d *decoder) value(path string, n *Node, f field) {
	if n.Kind() == Null {
		return
	}
	v := f.value
	if v.Type() == reflect.TypeFor[*Node]() {
		if n.Kind() != Map {
			d.expected(path, "a map", n, "")
			return
		}
		v.Set(reflect.ValueOf(n.Capture(path)))
		return
	}
	if text, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		d.text(path, n, text)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(path, n, field{f.name, f.rules, v.Elem()})
	case reflect.Struct:
		d.structure(path, n, v)
	case reflect.Slice:
		d.list(path, n, f)
	case reflect.Map:
		d.table(path, n, v)
	default:
		d.scalar(path, n, f)
	}
}

func (d *decoder) text(path string, n *Node, into encoding.TextUnmarshaler) {
	if n.Kind() != Text && n.Kind() != Number {
		d.expected(path, "text or a number", n, "")
		return
	}
	err := into.UnmarshalText([]byte(n.scalar))
	if err == nil {
		return
	}
	hint := ""
	if hinted, ok := errors.AsType[Hinted](err); ok {
		hint = hinted.Hint()
	}
	d.fault(path, "bad-value", err.Error(), hint)
}

func (d *decoder) list(path string, n *Node, f field) {
	if n.Kind() != List {
		hint := ""
		if n.Kind() == Text {
			hint = fmt.Sprintf("write [%s]", n.scalar)
		}
		d.expected(path, "a list", n, hint)
		return
	}
	f.value.Set(reflect.MakeSlice(f.value.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		at := Join(path, strconv.Itoa(i))
		if item.Kind() == Null {
			d.fault(at, "wrong-type", "an item of the list is empty", "")
			continue
		}
		d.value(at, item, field{f.name, f.rules, f.value.Index(i)})
	}
}

// table fills a map from text to text.
func (d *decoder) table(path string, n *Node, v reflect.Value) {
	if n.Kind() != Map {
		d.expected(path, "a map", n, "")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range n.entries {
		if e.Value.Kind() != Text {
			d.expected(Join(path, e.Key), "text", e.Value, "")
			continue
		}
		v.SetMapIndex(reflect.ValueOf(e.Key), reflect.ValueOf(e.Value.scalar))
	}
}

func (d *decoder) scalar(path string, n *Node, f field) {
	switch f.value.Kind() {
	case reflect.String:
		d.word(path, n, f)
	case reflect.Bool:
		if n.Kind() != Bool {
			d.expected(path, "true or false", n, "")
			return
		}
		f.value.SetBool(n.scalar == "true")
	case reflect.Int, reflect.Int64:
		d.integer(path, n, f)
	default:
		panic(fmt.Sprintf("yamltree: can't decode into %s", f.value.Type()))
	}
}

func (d *decoder) word(path string, n *Node, f field) {
	if n.Kind() != Text {
		hint := ""
		if n.Kind() == Number || n.Kind() == Bool {
			hint = fmt.Sprintf("quote it: %q", n.scalar)
		}
		d.expected(path, "text", n, hint)
		return
	}
	if allowed := f.rule("enum"); len(allowed) > 0 && !slices.Contains(allowed, n.scalar) {
		message := fmt.Sprintf("%q is not one of %s", n.scalar, strings.Join(allowed, ", "))
		d.fault(path, "bad-value", message, Near(n.scalar, allowed))
		return
	}
	f.value.SetString(n.scalar)
}

func (d *decoder) integer(path string, n *Node, f field) {
	i, err := strconv.ParseInt(n.scalar, 10, 64)
	if n.Kind() != Number || err != nil {
		d.expected(path, "a whole number", n, "")
		return
	}
	for _, least := range f.rule("minimum") {
		if bound, err := strconv.ParseInt(least, 10, 64); err == nil && i < bound {
			d.fault(path, "bad-value", fmt.Sprintf("%d is below %d", i, bound), "")
			return
		}
	}
	f.value.SetInt(i)
}
