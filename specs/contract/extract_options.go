package contract

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

var textFormats = []Format{
	FormatEmail, FormatUUID, FormatURI, FormatHostname, FormatIPv4, FormatIPv6, FormatByte,
}

func (x *extractor) options(c Column, o *TypeOptions) {
	if c.Property.LogicalType == "boolean" {
		for _, key := range slices.Sorted(maps.Keys(o.keys)) {
			x.refuse(o.at(key), "option "+key+" of "+c.Name(), "ODCS gives it no meaning for booleans")
		}
		return
	}
	one := []Column{c}
	if first := o.firstOf("minLength", "maxLength"); first != "" {
		x.rule(Rule{Kind: KindLength, Columns: one, MinCount: o.MinLength, MaxCount: o.MaxLength, Place: o.at(first)})
	}
	if o.has("pattern") {
		x.pattern(Rule{Columns: one, Place: o.at("pattern"), Dimension: "conformity"}, o.Pattern)
	}
	if c.Property.LogicalType == "string" && o.has("format") {
		x.textFormat(c, o)
	}
	if first := o.firstOf("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"); first != "" {
		x.interval(c, o, o.at(first))
	}
	if o.MultipleOf != nil {
		x.rule(Rule{Kind: KindMultipleOf, Columns: one, Step: *o.MultipleOf, Place: o.at("multipleOf")})
	}
	if first := o.firstOf("minItems", "maxItems"); first != "" {
		x.rule(Rule{Kind: KindItemCount, Columns: one, MinCount: o.MinItems, MaxCount: o.MaxItems, Place: o.at(first)})
	}
	if o.UniqueItems {
		x.rule(Rule{Kind: KindUniqueItems, Columns: one, Place: o.at("uniqueItems")})
	}
	x.openOptions(c, o)
}

// openOptions reports the options of objects that no rule expresses.
func (x *extractor) openOptions(c Column, o *TypeOptions) {
	if first := o.firstOf("minProperties", "maxProperties"); first != "" {
		x.refuse(o.at(first), first+" of "+c.Name(), "the fields of a column are fixed by its type")
	}
	for _, name := range o.Required {
		if len(c.Property.Properties) == 0 {
			x.refuse(o.at("required"), "required field "+name+" of "+c.Name(), "the object lists no properties")
		}
	}
}

func (o *TypeOptions) firstOf(keys ...string) string {
	if i := slices.IndexFunc(keys, o.has); i >= 0 {
		return keys[i]
	}
	return ""
}

// pattern completes a rule with an expression. ODCS means ECMA-262, Go has RE2: look-around and back references don't
// compile and are reported.
func (x *extractor) pattern(r Rule, expression string) {
	re, err := regexp.Compile(ecmaEscape.ReplaceAllString(expression, `\x{$1}`))
	if err != nil {
		x.refuse(r.Place, "pattern of "+r.Columns[0].Name(), "it isn't a regular expression of RE2: "+err.Error())
		return
	}
	r.Kind, r.Pattern = KindPattern, re
	x.rule(r)
}

var ecmaEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

func (x *extractor) textFormat(c Column, o *TypeOptions) {
	at, what := o.at("format"), fmt.Sprintf("format %q of %s", o.Format, c.Name())
	switch {
	case slices.Contains(textFormats, Format(o.Format)):
		x.rule(Rule{Kind: KindFormat, Columns: []Column{c}, Format: Format(o.Format), Place: at, Dimension: "conformity"})
	case o.Format == "password" || o.Format == "binary":
		x.refuse(at, what, "it says how to treat values and allows all of them")
	default:
		names := make([]string, len(textFormats))
		for i, f := range textFormats {
			names[i] = string(f)
		}
		x.refuse(at, what, "it isn't known; known are "+strings.Join(names, ", "))
	}
}

func temporal(c Column) bool {
	return c.Type != nil && slices.Contains([]arrow.Type{arrow.DATE32, arrow.TIMESTAMP, arrow.TIME64}, c.Type.ID())
}

// layout reports a format that it can't turn into one of Go; texts are then taken as ISO 8601.
func (x *extractor) layout(c Column) string {
	o := c.Property.LogicalTypeOptions
	if o == nil || o.Format == "" {
		return ""
	}
	layout, err := goLayout(o.Format)
	if err != nil {
		x.refuse(o.at("format"), "format of "+c.Name(), err.Error())
		return ""
	}
	return layout
}

func (x *extractor) zone(c Column) *time.Location {
	if t, ok := c.Type.(*arrow.TimestampType); !ok || t.TimeZone == "" {
		return nil
	}
	o := c.Property.LogicalTypeOptions
	if o == nil || o.DefaultTimezone == "" {
		return time.UTC
	}
	zone, err := time.LoadLocation(o.DefaultTimezone)
	if err != nil {
		x.refuse(o.at("defaultTimezone"), "default time zone of "+c.Name(), err.Error())
		return time.UTC
	}
	return zone
}
