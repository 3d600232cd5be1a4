// Package cursor is a read by a column that grows with each change of a row: which rows are asked for, and which of them have been
// emitted before.
package cursor

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/catalog"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
)

// Column is a cursor column. Its values are counted as integers: as they are, in microseconds since 2000, or in days since then.
type Column struct {
	Name string
	kind string
}

// Of checks that a column can be a cursor.
func Of(c *catalog.Column) (Column, error) {
	switch c.Base {
	case "int2", "int4", "int8", "date", "timestamp", "timestamptz":
		return Column{Name: c.Name, kind: c.Base}, nil
	}
	return Column{}, fmt.Errorf("column %q is of type %s, expected smallint, integer, bigint, date, timestamp or timestamptz", c.Name, c.TypeName)
}

// timed says whether its values are dates or times.
func (c Column) timed() bool {
	return c.kind == "date" || c.kind == "timestamp" || c.kind == "timestamptz"
}

// Window is a look-back as a number.
func (c Column) Window(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if c.timed() {
			return 0, fmt.Errorf("%q is a number, and column %q is of type %s: expected a duration such as 10m", text, c.Name, c.kind)
		}
		return n, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is no duration", text)
	case !c.timed():
		return 0, fmt.Errorf("%q is a duration, and column %q is of type %s: expected a number", text, c.Name, c.kind)
	case c.kind == "date":
		const day = 24 * time.Hour
		return int64((d + day - 1) / day), nil
	}
	return d.Microseconds(), nil
}

// Ordinal reads a value in binary form; false is an infinity.
func (c Column) Ordinal(raw []byte) (int64, bool) {
	switch len(raw) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(raw))), true //nolint:gosec // the bits are an int16
	case 4:
		v := int32(binary.BigEndian.Uint32(raw)) //nolint:gosec // the bits are an int32
		return int64(v), !c.timed() || v != math.MaxInt32 && v != math.MinInt32
	case 8:
		v := int64(binary.BigEndian.Uint64(raw)) //nolint:gosec // the bits are an int64
		return v, !c.timed() || v != math.MaxInt64 && v != math.MinInt64
	}
	return 0, false
}

// Literal is a value in SQL.
func (c Column) Literal(v int64) string {
	switch c.kind {
	case "int2", "int4", "int8":
		return strconv.FormatInt(v, 10)
	case "date":
		return "date '" + year(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(v)), "2006-01-02") + "'"
	}
	const epoch = 946_684_800_000_000
	return c.kind + " '" + year(time.UnixMicro(v+epoch).UTC(), "2006-01-02 15:04:05.000000") + "'"
}

// year prints a time, also one before the year 1, which look-backs reach.
func year(t time.Time, layout string) string {
	if t.Year() >= 1 {
		return t.Format(layout)
	}
	return time.Date(1-t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC).Format(layout) + " BC"
}

// Condition is which rows are asked for: those from the floor of what is remembered on. Infinite values never are.
func (c Column) Condition(sql string, at *position.Cursor) []string {
	conditions := []string{sql + " is not null"}
	if c.timed() {
		conditions = append(conditions, "isfinite("+sql+")")
	}
	if at != nil {
		conditions = append(conditions, sql+" >= "+c.Literal(at.Floor))
	}
	return conditions
}
