package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/specs/contract"
)

// demand is a rule with the place that asks for it.
type demand struct {
	contract.Rule
	setting string // JSON pointer, of a rule in the settings
}

// where tells people who asks.
func (d demand) where() string {
	if d.setting != "" {
		return "setting " + d.setting
	}
	return d.Place.String()
}

// fault blames the setting that asks for the rule.
func (d demand) fault(format string, args ...any) error {
	if d.setting != "" {
		return sdk.ConfigError(d.setting, format, args...)
	}
	return sdk.ConfigError("/contract", "%s: %s", d.Place, fmt.Sprintf(format, args...))
}

var formats = []contract.Format{
	contract.FormatEmail, contract.FormatUUID, contract.FormatURI, contract.FormatHostname, contract.FormatIPv4,
	contract.FormatIPv6, contract.FormatByte,
}

// demands takes a rule of the settings apart into single demands.
func (r Rule) demands(path string) ([]demand, error) {
	if r.Column == "" {
		return nil, sdk.ConfigError(path+"/column", "is required")
	}
	b := &builder{path: path, column: contract.Column{
		Path: strings.Split(r.Column, "."), Names: strings.Split(r.Column, "."), Nullable: !r.Required, Property: &contract.Property{},
	}}
	if r.Required {
		b.add("/required", contract.Rule{Kind: contract.KindRequired})
	}
	b.kind(r.Type)
	b.between(r.Min, r.Max)
	b.enum(r.Enum)
	if r.Pattern != "" {
		expression, err := regexp.Compile(r.Pattern)
		if err != nil {
			b.refuse("/pattern", "%v", err)
		}
		b.add("/pattern", contract.Rule{Kind: contract.KindPattern, Pattern: expression})
	}
	if r.MinLength != nil || r.MaxLength != nil {
		b.length(r.MinLength, r.MaxLength)
	}
	if r.Format != "" {
		if !slices.Contains(formats, contract.Format(r.Format)) {
			b.refuse("/format", "%q is not known, allowed are %v", r.Format, formats)
		}
		b.add("/format", contract.Rule{Kind: contract.KindFormat, Format: contract.Format(r.Format)})
	}
	if r.Unique {
		b.add("/unique", contract.Rule{Kind: contract.KindUnique})
	}
	if len(b.demands)+len(b.faults) == 0 {
		b.refuse("", "asks for nothing")
	}
	return b.demands, errors.Join(b.faults...)
}

type builder struct {
	path    string
	column  contract.Column
	demands []demand
	faults  []error
}

func (b *builder) add(key string, rule contract.Rule) {
	rule.ID = b.column.Name() + "." + string(rule.Kind)
	rule.Columns = []contract.Column{b.column}
	rule.Limit = contract.Limit{Op: contract.OpEqual, Value: "0"}
	rule.Severity = contract.SeverityError
	b.demands = append(b.demands, demand{Rule: rule, setting: b.path + key})
}

func (b *builder) refuse(key, format string, args ...any) {
	b.faults = append(b.faults, sdk.ConfigError(b.path+key, format, args...))
}

var logicalTypes = []string{"string", "boolean", "integer", "number", "date", "timestamp", "time"}

func (b *builder) kind(name string) {
	if name == "" {
		return
	}
	property := contract.Property{Element: contract.Element{PhysicalType: name}}
	if slices.Contains(logicalTypes, name) {
		property = contract.Property{LogicalType: name}
	}
	arrowType, err := property.ArrowType()
	if err != nil {
		b.refuse("/type", "%q is not known, allowed are %s and database types such as decimal(12,2)", name, strings.Join(logicalTypes, ", "))
		return
	}
	b.add("/type", contract.Rule{Kind: contract.KindType, Type: arrowType})
}

func (b *builder) length(low, high *int) {
	if low != nil && *low < 0 || high != nil && *high < 0 || low != nil && high != nil && *low > *high {
		b.refuse("/min_length", "the lengths leave nothing, expected 0 <= min_length <= max_length")
	}
	b.add("/min_length", contract.Rule{Kind: contract.KindLength, MinCount: low, MaxCount: high})
}

func (b *builder) between(low, high json.RawMessage) {
	if low == nil && high == nil {
		return
	}
	least, key := b.bound("/min", low), "/min"
	greatest := b.bound("/max", high)
	if low == nil {
		key = "/max"
	}
	if least != nil && greatest != nil && least.Of != greatest.Of {
		b.refuse("/max", "is of another kind than min")
	}
	b.add(key, contract.Rule{Kind: contract.KindRange, Min: least, Max: greatest})
}

var boundLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999", time.DateTime, time.DateOnly}

func (b *builder) bound(key string, raw json.RawMessage) *contract.Bound {
	if raw == nil {
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		number := contract.Number(bytes.TrimSpace(raw))
		if _, err := strconv.ParseFloat(string(number), 64); err != nil {
			b.refuse(key, "%s is no bound, expected a number or text with a date, timestamp or time", raw)
		}
		return &contract.Bound{Of: contract.BoundNumber, Number: number}
	}
	for _, layout := range boundLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return &contract.Bound{Of: contract.BoundTime, Time: at.UTC()}
		}
	}
	if at, err := time.Parse("15:04:05", text); err == nil {
		midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
		return &contract.Bound{Of: contract.BoundOfDay, SinceMidnight: at.Sub(midnight)}
	}
	b.refuse(key, "%q is no date, timestamp or time in ISO 8601; numbers go without quotes", text)
	return nil
}

func (b *builder) enum(raw []json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	values := make([]any, 0, len(raw))
	for i, item := range raw {
		decoder := json.NewDecoder(bytes.NewReader(item))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			b.refuse(fmt.Sprintf("/enum/%d", i), "%v", err)
			continue
		}
		switch value := value.(type) {
		case json.Number:
			values = append(values, number(value))
		case string, bool:
			values = append(values, value)
		default:
			b.refuse(fmt.Sprintf("/enum/%d", i), "%s can't be a value, expected text, a number or a boolean", item)
		}
	}
	b.add("/enum", contract.Rule{Kind: contract.KindEnum, Values: values})
}

// number gives an int64 where it can, else a float64, as contracts have them.
func number(written json.Number) any {
	if whole, err := written.Int64(); err == nil {
		return whole
	}
	float, err := written.Float64()
	if err != nil {
		return string(written)
	}
	return float
}
