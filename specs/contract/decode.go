package contract

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// report collects faults while a contract is read.
type report struct {
	file   string
	faults Faults
}

func (r *report) fault(at Place, message, hint string) {
	r.faults = append(r.faults, Fault{Place: at, Message: message, Hint: hint})
}

func (r *report) once(at Place, message string) {
	if !slices.ContainsFunc(r.faults, func(f Fault) bool { return f.Message == message }) {
		r.fault(at, message, "")
	}
}

// decoder fills the typed structs of this package from nodes. What a key holds follows from the field's Go type;
// the tag `odcs:"name,…"` adds
//
//	required    in every version of the standard
//	required31  from v3.1.0 on
//	id          the value is a stable id
//	rest        a map that takes all keys that no other field does
type decoder struct {
	*report
	// strict refuses unknown keys everywhere. The schemas of v3.0.x close only the top, schema objects and properties.
	strict bool
}

// selfDecoder is a type that ODCS lets people write in more than one shape.
type selfDecoder interface {
	decode(d *decoder, n *node)
}

var alwaysClosed = []reflect.Type{reflect.TypeFor[Contract](), reflect.TypeFor[Object](), reflect.TypeFor[Property]()}

var stableID = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (d *decoder) mismatch(n *node, want string) {
	hint := ""
	if want == "a string" && (n.shape == isNumber || n.shape == isBool) {
		hint = "put it in quotes"
	}
	d.fault(n.place, fmt.Sprintf("expected %s, found %s", want, n.shown()), hint)
}

func (d *decoder) value(n *node, into reflect.Value) {
	if into.Kind() != reflect.Pointer && into.CanAddr() {
		if self, ok := reflect.TypeAssert[selfDecoder](into.Addr()); ok {
			self.decode(d, n)
			return
		}
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.value(n, into.Elem())
	case reflect.Struct:
		d.mapping(n, into)
	case reflect.Slice:
		d.list(n, into)
	case reflect.Map:
		if n.shape != isMapping {
			d.mismatch(n, "a mapping")
			return
		}
		into.Set(reflect.ValueOf(n.plain()))
	case reflect.Interface:
		if v := n.plain(); v != nil {
			into.Set(reflect.ValueOf(v))
		}
	default:
		d.scalar(n, into)
	}
}

func (d *decoder) scalar(n *node, into reflect.Value) {
	switch {
	case into.Type() == reflect.TypeFor[Number]():
		if n.shape != isNumber {
			d.mismatch(n, "a number")
			return
		}
		into.SetString(string(n.number))
	case into.Kind() == reflect.String:
		if n.shape != isText {
			d.mismatch(n, "a string")
			return
		}
		into.SetString(n.value.(string))
	case into.Kind() == reflect.Bool:
		if n.shape != isBool {
			d.mismatch(n, "true or false")
			return
		}
		into.SetBool(n.value.(bool))
	case into.Kind() == reflect.Int:
		v, ok := n.number.Int64()
		if n.shape != isNumber || !ok {
			d.mismatch(n, "a whole number")
			return
		}
		into.SetInt(v)
	}
}

func (d *decoder) list(n *node, into reflect.Value) {
	if n.shape != isList {
		d.mismatch(n, "a list")
		return
	}
	out := reflect.MakeSlice(into.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		d.value(item, out.Index(i))
	}
	into.Set(out)
}

type field struct {
	name  string
	opts  []string
	value reflect.Value
}

// fields lists the tagged fields of a struct and of the structs that it embeds.
func fields(v reflect.Value) []field {
	var out []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		tag, ok := f.Tag.Lookup("odcs")
		switch {
		case ok:
			parts := strings.Split(tag, ",")
			out = append(out, field{name: parts[0], opts: parts[1:], value: v.Field(i)})
		case f.Anonymous && f.Type != reflect.TypeFor[located]():
			out = append(out, fields(v.Field(i))...)
		}
	}
	return out
}

func (d *decoder) mapping(n *node, into reflect.Value) {
	if n.shape != isMapping {
		d.mismatch(n, "a mapping")
		return
	}
	known := fields(into)
	d.locate(n, into)
	var rest *field
	for i, f := range known {
		if slices.Contains(f.opts, "rest") {
			rest = &known[i]
			continue
		}
		e := n.key(f.name)
		if e == nil {
			d.missing(n, f)
			continue
		}
		d.value(e.value, f.value)
		if slices.Contains(f.opts, "id") && e.value.shape == isText && !stableID.MatchString(f.value.String()) {
			d.fault(e.value.place, fmt.Sprintf("id %q is not a stable id", f.value.String()), "allowed are letters, digits, _ and -")
		}
	}
	d.others(n, into.Type(), known, rest)
}

func (d *decoder) locate(n *node, into reflect.Value) {
	l, ok := reflect.TypeAssert[interface {
		locate(at Place, keys map[string]Place)
	}](into.Addr())
	if !ok {
		return
	}
	keys := make(map[string]Place, len(n.keys))
	for _, e := range n.keys {
		keys[e.name] = e.place
	}
	l.locate(n.place, keys)
}

func (d *decoder) missing(n *node, f field) {
	if slices.Contains(f.opts, "required") || d.strict && slices.Contains(f.opts, "required31") {
		d.fault(n.place, fmt.Sprintf("key %q is missing", f.name), "")
	}
}

// others deals with the keys that the type doesn't name.
func (d *decoder) others(n *node, t reflect.Type, known []field, rest *field) {
	names := make([]string, 0, len(known))
	for _, f := range known {
		if f.name != "" {
			names = append(names, f.name)
		}
	}
	extra := map[string]any{}
	for _, e := range n.keys {
		switch {
		case slices.Contains(names, e.name):
		case rest != nil:
			extra[e.name] = e.value.plain()
		case d.strict || slices.Contains(alwaysClosed, t):
			d.fault(e.place, fmt.Sprintf("key %q is not part of ODCS here", e.name), suggest(e.name, names))
		}
	}
	if rest != nil && len(extra) > 0 {
		rest.value.Set(reflect.ValueOf(extra))
	}
}

// suggest names the nearest of the allowed words, or all of them.
func suggest(word string, allowed []string) string {
	best, bestDistance := "", 3
	for _, a := range allowed {
		if dist := distance(strings.ToLower(word), strings.ToLower(a)); dist < bestDistance {
			best, bestDistance = a, dist
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	sorted := slices.Sorted(slices.Values(allowed))
	return "allowed are " + strings.Join(sorted, ", ")
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
