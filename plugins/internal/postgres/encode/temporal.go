package encode

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// PostgreSQL counts from 2000, Arrow from 1970. Its dates are 4714-11-24 BC to 5874897-12-31, its timestamps end before 294277-01-01.
const (
	epochDays    = 10957
	dayMicros    = 86_400_000_000
	epochMicros  = epochDays * dayMicros
	firstDate    = -2_451_545
	lastDate     = 2_145_031_948
	firstMicros  = firstDate * dayMicros
	endTimestamp = 9_223_371_331_200_000_000
	microDigits  = 6
)

var (
	errTimeRange = &flaw{CodeRange, "the time is beyond what the column's type holds"}
	errTimeFine  = &flaw{CodePrecision, "the time has a finer fraction than the column's type"}
	errPartOfDay = &flaw{CodePrecision, "the date has a time of day"}
)

// dates reads dates as days since 2000.
func dates(dt arrow.DataType) func(arrow.Array) func(int) (int64, error) {
	switch dt.ID() {
	case arrow.DATE32:
		return func(a arrow.Array) func(int) (int64, error) {
			held := a.(*array.Date32).Date32Values()
			return func(row int) (int64, error) { return int64(held[row]) - epochDays, nil }
		}
	case arrow.DATE64:
		return func(a arrow.Array) func(int) (int64, error) {
			held := a.(*array.Date64).Date64Values()
			return func(row int) (int64, error) {
				const day = dayMicros / 1000
				if held[row]%day != 0 {
					return 0, errPartOfDay
				}
				return int64(held[row])/day - epochDays, nil
			}
		}
	}
	return nil
}

func asDate(dt arrow.DataType) (binder, bool) {
	read := dates(dt)
	return func(a arrow.Array) Cells {
		value := read(a)
		return plain(a, func(to []byte, row int) ([]byte, error) {
			v, err := value(row)
			if err == nil && (v < firstDate || v > lastDate) {
				err = errTimeRange
			}
			if err != nil {
				return to, err
			}
			return binary.BigEndian.AppendUint32(to, uint32(v)), nil //nolint:gosec // the bits of an int32
		})
	}, read != nil
}

// micros converts a count of units.
func micros(v int64, unit arrow.TimeUnit) (int64, error) {
	switch unit {
	case arrow.Nanosecond:
		if v%1000 != 0 {
			return 0, errTimeFine
		}
		return v / 1000, nil
	case arrow.Second:
		return times(v, 1e6)
	case arrow.Millisecond:
		return times(v, 1e3)
	}
	return v, nil
}

func times(v, factor int64) (int64, error) {
	size := uint64(max(v, -v))                    //nolint:gosec // the least int64 is too large in any case
	high, low := bits.Mul64(size, uint64(factor)) //nolint:gosec // a positive constant
	if high != 0 || low > math.MaxInt64 || v == math.MinInt64 {
		return 0, errTimeRange
	}
	return v * factor, nil
}

// coarse says whether a fraction of a second fits a type's modifier: the number of its digits.
func coarse(v int64, mod int32) error {
	unit := int64(1)
	for d := mod; mod >= 0 && d < microDigits; d++ {
		unit *= 10
	}
	if v%unit != 0 {
		return errTimeFine
	}
	return nil
}

// moments reads timestamps as microseconds since 2000, and dates as their midnights.
func moments(dt arrow.DataType, t Type) func(arrow.Array) func(int) (int64, error) {
	zone := t.Name == "timestamptz"
	switch dt := dt.(type) {
	case *arrow.TimestampType:
		if zone != (dt.TimeZone != "") {
			return nil
		}
		return func(a arrow.Array) func(int) (int64, error) {
			held := a.(*array.Timestamp).TimestampValues()
			return func(row int) (int64, error) {
				v, err := micros(int64(held[row]), dt.Unit)
				if err == nil && v < math.MinInt64+epochMicros {
					err = errTimeRange
				}
				return v - epochMicros, err
			}
		}
	default:
		read := dates(dt)
		if zone || read == nil {
			return nil
		}
		return func(a arrow.Array) func(int) (int64, error) {
			value := read(a)
			return func(row int) (int64, error) {
				days, err := value(row)
				if err != nil {
					return 0, err
				}
				return times(days, dayMicros)
			}
		}
	}
}

func asTimestamp(dt arrow.DataType, t Type) (binder, bool) {
	read := moments(dt, t)
	return func(a arrow.Array) Cells {
		value := read(a)
		return plain(a, func(to []byte, row int) ([]byte, error) {
			v, err := value(row)
			if err == nil && (v < firstMicros || v >= endTimestamp) {
				err = errTimeRange
			}
			if err == nil {
				err = coarse(v, t.Mod)
			}
			if err != nil {
				return to, err
			}
			return binary.BigEndian.AppendUint64(to, uint64(v)), nil //nolint:gosec // the bits
		})
	}, read != nil
}

// clock reads times of day as microseconds.
func clock(dt arrow.DataType) func(arrow.Array) func(int) (int64, error) {
	switch dt := dt.(type) {
	case *arrow.Time32Type:
		return func(a arrow.Array) func(int) (int64, error) {
			held := a.(*array.Time32).Time32Values()
			return func(row int) (int64, error) { return micros(int64(held[row]), dt.Unit) }
		}
	case *arrow.Time64Type:
		return func(a arrow.Array) func(int) (int64, error) {
			held := a.(*array.Time64).Time64Values()
			return func(row int) (int64, error) { return micros(int64(held[row]), dt.Unit) }
		}
	}
	return nil
}

func asTime(dt arrow.DataType, mod int32) (binder, bool) {
	read := clock(dt)
	return func(a arrow.Array) Cells {
		value := read(a)
		return plain(a, func(to []byte, row int) ([]byte, error) {
			v, err := value(row)
			if err == nil && (v < 0 || v > dayMicros) {
				err = errTimeRange
			}
			if err == nil {
				err = coarse(v, mod)
			}
			if err != nil {
				return to, err
			}
			return binary.BigEndian.AppendUint64(to, uint64(v)), nil //nolint:gosec // the bits
		})
	}, read != nil
}

// span is an interval: months and days are not so many microseconds.
type span struct {
	micros       int64
	days, months int32
}

func spans(dt arrow.DataType) func(arrow.Array) func(int) (span, error) {
	switch dt := dt.(type) {
	case *arrow.DurationType:
		return func(a arrow.Array) func(int) (span, error) {
			held := a.(*array.Duration).DurationValues()
			return func(row int) (span, error) {
				v, err := micros(int64(held[row]), dt.Unit)
				return span{micros: v}, err
			}
		}
	case *arrow.MonthIntervalType:
		return func(a arrow.Array) func(int) (span, error) {
			held := a.(*array.MonthInterval)
			return func(row int) (span, error) { return span{months: int32(held.Value(row))}, nil }
		}
	case *arrow.DayTimeIntervalType:
		return func(a arrow.Array) func(int) (span, error) {
			held := a.(*array.DayTimeInterval)
			return func(row int) (span, error) {
				v := held.Value(row)
				return span{days: v.Days, micros: int64(v.Milliseconds) * 1000}, nil
			}
		}
	case *arrow.MonthDayNanoIntervalType:
		return func(a arrow.Array) func(int) (span, error) {
			held := a.(*array.MonthDayNanoInterval)
			return func(row int) (span, error) {
				v := held.Value(row)
				m, err := micros(v.Nanoseconds, arrow.Nanosecond)
				return span{micros: m, days: v.Days, months: v.Months}, err
			}
		}
	}
	return nil
}

func asInterval(dt arrow.DataType) (binder, bool) {
	read := spans(dt)
	return func(a arrow.Array) Cells {
		value := read(a)
		return plain(a, func(to []byte, row int) ([]byte, error) {
			v, err := value(row)
			if err != nil {
				return to, err
			}
			to = binary.BigEndian.AppendUint64(to, uint64(v.micros))      //nolint:gosec // the bits
			return appendLongs(to, uint32(v.days), uint32(v.months)), nil //nolint:gosec // the bits
		})
	}, read != nil
}
