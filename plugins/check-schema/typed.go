package main

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/extensions"

	"github.com/qanat-data/qanat/specs/contract"
)

// typed finds values that don't have a type. Where the column's own type settles it there is nothing to find, or an error; a wider
// type, or text, leaves it to the values.
func typed(have arrow.DataType, d demand) (finder, error) {
	want := d.Type
	wrong := fmt.Errorf("expected %s, found %s", typeName(want), have)
	switch {
	case have.ID() == arrow.NULL || arrow.TypeEqual(have, want):
		return nil, nil
	case isText(have) && !isText(want):
		return typedText(d, wrong)
	case isText(want):
		_, isUUID := have.(*extensions.UUIDType)
		return nil, unless(isText(have) || isUUID, wrong)
	case isBinary(want):
		return nil, unless(isBinary(have), wrong)
	case isNumber(want):
		return typedNumber(have, d, wrong)
	}
	switch want.ID() {
	case arrow.DATE32:
		return nil, unless(have.ID() == arrow.DATE64, wrong)
	case arrow.TIME64:
		return nil, unless(have.ID() == arrow.TIME32 || have.ID() == arrow.TIME64, wrong)
	case arrow.TIMESTAMP:
		return nil, unless(sameClock(have, d), wrong)
	case arrow.STRUCT:
		return nil, unless(have.ID() == arrow.STRUCT, wrong) // its fields have rules of their own
	case arrow.LIST:
		_, ok := have.(arrow.ListLikeType)
		return nil, unless(ok && have.ID() != arrow.MAP, wrong) // so have its items
	}
	return nil, wrong
}

func unless(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}

func isNumber(kind arrow.DataType) bool {
	return arrow.IsInteger(kind.ID()) || arrow.IsFloating(kind.ID()) || arrow.IsDecimal(kind.ID())
}

// sameClock keeps instants and wall-clock times apart where the contract does. A plain timestamp may be either.
func sameClock(have arrow.DataType, d demand) bool {
	given, ok := have.(*arrow.TimestampType)
	wanted, wantedOK := d.Type.(*arrow.TimestampType)
	if !ok || !wantedOK {
		return false
	}
	if (given.TimeZone == "") == (wanted.TimeZone == "") {
		return true
	}
	options := d.Columns[0].Property.LogicalTypeOptions
	return wanted.TimeZone == "" && (options == nil || options.Timezone == nil)
}

// typedNumber looks at the values where the column's type holds more than the wanted one. Fractions are never taken for whole
// numbers by chance: a float column is no integer column.
func typedNumber(have arrow.DataType, d demand, wrong error) (finder, error) {
	want := d.Type
	switch {
	case !isNumber(have):
		return nil, wrong
	case arrow.IsFloating(want.ID()):
		return nil, nil
	case arrow.IsFloating(have.ID()):
		return nil, wrong
	}
	low, high, scale := spanOf(want)
	spanned := d
	spanned.Min = &contract.Bound{Of: contract.BoundNumber, Number: contract.Number(low)}
	spanned.Max = &contract.Bound{Of: contract.BoundNumber, Number: contract.Number(high)}
	find, err := ranged(have, spanned)
	if err != nil {
		return nil, wrong
	}
	if decimal, ok := have.(arrow.DecimalType); ok && decimal.GetScale() > scale {
		steps, err := multiple(have, contract.Number("1e-"+strconv.Itoa(int(scale))))
		if err != nil {
			return nil, wrong
		}
		return both(find, steps), nil
	}
	return find, nil
}

// spanOf is the least and the greatest value of an integer or decimal type, and its digits behind the point.
func spanOf(kind arrow.DataType) (low, high string, scale int32) {
	if decimal, ok := kind.(arrow.DecimalType); ok {
		nines := strings.Repeat("9", int(decimal.GetPrecision()-decimal.GetScale())) + "." + strings.Repeat("9", int(decimal.GetScale()))
		nines = strings.TrimSuffix("0"+nines, ".")
		return "-" + nines, nines, decimal.GetScale()
	}
	bits := uint(kind.(arrow.FixedWidthDataType).BitWidth())
	one := big.NewInt(1)
	if arrow.IsUnsignedInteger(kind.ID()) {
		return "0", new(big.Int).Sub(new(big.Int).Lsh(one, bits), one).String(), 0
	}
	half := new(big.Int).Lsh(one, bits-1)
	return new(big.Int).Neg(half).String(), new(big.Int).Sub(half, one).String(), 0
}

// typedText reads each text as a value of the type.
func typedText(d demand, wrong error) (finder, error) {
	want := d.Type
	switch {
	case want.ID() == arrow.BOOL:
		return texts(func(s string) bool {
			_, err := strconv.ParseBool(s)
			return err == nil
		}), nil
	case arrow.IsInteger(want.ID()):
		return texts(integerText(want)), nil
	case arrow.IsFloating(want.ID()):
		bits := want.(arrow.FixedWidthDataType).BitWidth()
		return texts(func(s string) bool {
			_, err := strconv.ParseFloat(s, max(bits, 32))
			return err == nil
		}), nil
	case arrow.IsDecimal(want.ID()):
		return texts(decimalText(want.(arrow.DecimalType))), nil
	}
	layouts := map[arrow.Type][]string{arrow.DATE32: {time.DateOnly}, arrow.TIME64: timeLayouts, arrow.TIMESTAMP: dateLayouts}[want.ID()]
	if layouts == nil {
		return nil, wrong
	}
	return texts(func(s string) bool {
		_, ok := parseTime(s, d, layouts)
		return ok
	}), nil
}

func integerText(want arrow.DataType) func(string) bool {
	bits := want.(arrow.FixedWidthDataType).BitWidth()
	if arrow.IsUnsignedInteger(want.ID()) {
		return func(s string) bool {
			_, err := strconv.ParseUint(s, 10, bits)
			return err == nil
		}
	}
	return func(s string) bool {
		_, err := strconv.ParseInt(s, 10, bits)
		return err == nil
	}
}

// decimalText counts digits before and behind the point.
func decimalText(want arrow.DecimalType) func(string) bool {
	whole, fraction := int(want.GetPrecision()-want.GetScale()), int(want.GetScale())
	return func(s string) bool {
		s = strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
		before, behind, _ := strings.Cut(s, ".")
		if before+behind == "" || strings.Trim(before+behind, "0123456789") != "" {
			return false
		}
		return len(strings.TrimLeft(before, "0")) <= whole && len(strings.TrimRight(behind, "0")) <= fraction
	}
}

var (
	dateLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999", time.DateTime, time.DateOnly}
	timeLayouts = []string{"15:04:05.999999999", "15:04", "15:04:05Z07:00"}
)

// parseTime reads text in the column's own form, or else in one of ISO 8601's.
func parseTime(text string, d demand, layouts []string) (time.Time, bool) {
	zone := d.Zone
	if zone == nil {
		zone = time.UTC
	}
	if d.Layout != "" {
		at, err := time.ParseInLocation(d.Layout, text, zone)
		return at, err == nil
	}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// typeName is how people call a type.
func typeName(kind arrow.DataType) string {
	switch kind.ID() {
	case arrow.STRING:
		return "text"
	case arrow.BOOL:
		return "a boolean"
	case arrow.DATE32:
		return "a date"
	case arrow.TIME64:
		return "a time of day"
	case arrow.TIMESTAMP:
		if kind.(*arrow.TimestampType).TimeZone != "" {
			return "a timestamp with a time zone"
		}
		return "a timestamp without a time zone"
	case arrow.LIST:
		return "an array"
	case arrow.STRUCT:
		return "a struct"
	}
	return kind.String()
}
