package contract

import (
	"fmt"
	"slices"
	"strings"
)

// optionKeys lists the logicalTypeOptions that each logical type takes; booleans take anything.
var optionKeys = map[string]string{
	"string":    "minLength maxLength pattern format",
	"date":      "format minimum maximum exclusiveMinimum exclusiveMaximum",
	"timestamp": "format minimum maximum exclusiveMinimum exclusiveMaximum timezone defaultTimezone",
	"time":      "format minimum maximum exclusiveMinimum exclusiveMaximum timezone defaultTimezone",
	"integer":   "format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
	"number":    "format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
	"object":    "minProperties maxProperties required",
	"array":     "minItems maxItems uniqueItems",
}

var (
	integerFormats = []string{"i8", "i16", "i32", "i64", "i128", "u8", "u16", "u32", "u64", "u128"}
	numberFormats  = []string{"f32", "f64"}
)

func (k *checker) options(p *Property) {
	o := p.LogicalTypeOptions
	if o == nil || p.LogicalType == "boolean" {
		return
	}
	words, ok := optionKeys[p.LogicalType]
	if !ok {
		if p.LogicalType == "" && len(o.keys) > 0 {
			k.fault(p.at("logicalTypeOptions"), "logicalTypeOptions need a logicalType", "")
		}
		return
	}
	allowed := strings.Fields(words)
	for key, at := range o.keys {
		if !slices.Contains(allowed, key) {
			k.fault(at, fmt.Sprintf("option %q doesn't belong to logicalType %s", key, p.LogicalType), suggest(key, allowed))
		}
	}
	k.format(p.LogicalType, o)
	if slices.Contains(allowed, "minimum") {
		k.bounds(p.LogicalType, o)
	}
	k.sizes(o)
	if o.MultipleOf != nil && o.MultipleOf.Rat().Sign() <= 0 {
		k.fault(o.at("multipleOf"), fmt.Sprintf("expected a number above 0, found %s", *o.MultipleOf), "")
	}
	k.requiredNames(p, o)
}

func (k *checker) format(logicalType string, o *TypeOptions) {
	if !o.has("format") {
		return
	}
	switch logicalType {
	case "integer":
		k.word(o.at("format"), "format of an integer", o.Format, integerFormats)
	case "number":
		k.word(o.at("format"), "format of a number", o.Format, numberFormats)
	}
}

func (k *checker) bounds(logicalType string, o *TypeOptions) {
	number := logicalType == "integer" || logicalType == "number"
	for key, s := range map[string]*Scalar{
		"minimum": o.Minimum, "maximum": o.Maximum,
		"exclusiveMinimum": o.ExclusiveMinimum, "exclusiveMaximum": o.ExclusiveMaximum,
	} {
		if s == nil {
			continue
		}
		switch {
		case s.Number != nil && number, s.Text != nil && !number:
		case s.Bool != nil && !k.strict && strings.HasPrefix(key, "exclusive"):
		case number:
			k.fault(o.at(key), fmt.Sprintf("expected a number for %s of logicalType %s", key, logicalType), "")
		default:
			k.fault(o.at(key), fmt.Sprintf("expected a string for %s of logicalType %s", key, logicalType), "put it in quotes")
		}
	}
	if number && o.Minimum != nil && o.Maximum != nil && o.Minimum.Number != nil && o.Maximum.Number != nil &&
		o.Minimum.Number.Rat().Cmp(o.Maximum.Number.Rat()) > 0 {
		k.fault(o.at("minimum"), fmt.Sprintf("minimum %s is above maximum %s", *o.Minimum.Number, *o.Maximum.Number), "")
	}
}

func (k *checker) sizes(o *TypeOptions) {
	for _, pair := range []struct {
		least, most string
		low, high   *int
	}{
		{"minLength", "maxLength", o.MinLength, o.MaxLength},
		{"minItems", "maxItems", o.MinItems, o.MaxItems},
		{"minProperties", "maxProperties", o.MinProperties, o.MaxProperties},
	} {
		k.natural(o.at(pair.least), pair.low)
		k.natural(o.at(pair.most), pair.high)
		if pair.low != nil && pair.high != nil && *pair.low > *pair.high {
			k.fault(o.at(pair.least), fmt.Sprintf("%s %d is above %s %d", pair.least, *pair.low, pair.most, *pair.high), "")
		}
	}
}

func (k *checker) natural(at Place, v *int) {
	if v != nil && *v < 0 {
		k.fault(at, fmt.Sprintf("expected 0 or more, found %d", *v), "")
	}
}

// requiredNames checks the required option of objects. Names are looked up only where the object lists its
// properties.
func (k *checker) requiredNames(p *Property, o *TypeOptions) {
	if !o.has("required") {
		return
	}
	at := o.at("required")
	if len(o.Required) == 0 {
		k.fault(at, "expected at least one name", "")
	}
	names := make([]string, len(p.Properties))
	for i := range p.Properties {
		names[i] = p.Properties[i].Name
	}
	for i, name := range o.Required {
		if slices.Contains(o.Required[:i], name) {
			k.fault(at, fmt.Sprintf("%q is given twice", name), "")
		}
		if len(names) > 0 && !slices.Contains(names, name) {
			k.fault(at, fmt.Sprintf("property %q isn't described", name), suggest(name, names))
		}
	}
}
