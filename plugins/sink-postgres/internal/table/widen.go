package table

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/plugins/internal/postgres/encode"
)

// digits is how many decimal digits integers have.
var digits = map[string]int32{"int2": 5, "int4": 10, "int8": 19}

// widen is the type that a column needs so that it holds all values of a field beside those that it has; none if it needs no other, or if
// there is none that holds both as they are.
func widen(f arrow.Field, t encode.Type) string {
	if !t.Builtin {
		return ""
	}
	precision, scale, whole := numberOf(f.Type)
	have, isInteger := digits[t.Name]
	switch {
	case isInteger && whole && precision <= have:
		return ""
	case isInteger && whole:
		return encode.Default(f)
	case isInteger && precision > 0:
		return fmt.Sprintf("numeric(%d,%d)", max(precision-scale, have)+scale, scale)
	case t.Name == "float4" && f.Type.ID() == arrow.FLOAT64:
		return "double precision"
	case (t.Name == "int2" || t.Name == "int4") && (f.Type.ID() == arrow.FLOAT32 || f.Type.ID() == arrow.FLOAT64):
		return "double precision"
	case t.Name == "numeric" && precision > 0:
		return widerNumeric(t, precision, scale)
	case t.Name == "date" && f.Type.ID() == arrow.TIMESTAMP && f.Type.(*arrow.TimestampType).TimeZone == "":
		return "timestamp"
	}
	return ""
}

// numberOf is the precision and scale of an exact number; 0 for what is none.
func numberOf(dt arrow.DataType) (precision, scale int32, whole bool) {
	switch dt.ID() {
	case arrow.INT8, arrow.INT16, arrow.UINT8:
		return digits["int2"], 0, true
	case arrow.INT32, arrow.UINT16:
		return digits["int4"], 0, true
	case arrow.INT64, arrow.UINT32:
		return digits["int8"], 0, true
	case arrow.UINT64:
		return 20, 0, true
	}
	if d, ok := dt.(arrow.DecimalType); ok {
		if s := d.GetScale(); s < 0 {
			return d.GetPrecision() - s, 0, false
		}
		return max(d.GetPrecision(), d.GetScale()), d.GetScale(), false
	}
	return 0, 0, false
}

// widerNumeric has the places of both before and behind the point. The modifier is as in PostgreSQL's numeric.c.
func widerNumeric(t encode.Type, precision, scale int32) string {
	const header, most = 4, 1000
	if t.Mod < header {
		return ""
	}
	p, s := (t.Mod-header)>>16&0xffff, (t.Mod-header)&0x7ff^1024-1024
	whole, behind := max(p-s, precision-scale), max(s, scale)
	if whole == p-s && behind == s || s < 0 {
		return ""
	}
	return fmt.Sprintf("numeric(%d,%d)", min(whole+behind, most), behind)
}
