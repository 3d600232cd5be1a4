package column

import (
	"errors"
	"fmt"
	"time"
)

var (
	errDate  = errors.New("expected a date such as 2024-02-29")
	errStamp = errors.New("expected a timestamp such as 2024-02-29T13:45:00Z")
)

// stamp is a parsed date, with a time of day if there was one.
type stamp struct {
	micros  int64 // since 1970, of the wall clock less the offset
	hasTime bool
	hasZone bool
	finer   bool // there are digits below a microsecond that are not 0
}

func (s stamp) days() int32 { return int32(s.micros / (24 * 60 * 60 * 1e6)) } //nolint:gosec // years have four digits

// parseStamp reads YYYY-MM-DD, then optionally T or a space and HH:MM[:SS[.fraction]] and Z or ±HH[:]MM.
func parseStamp(text []byte) (stamp, error) {
	if len(text) < 10 || text[4] != '-' || text[7] != '-' {
		return stamp{}, errDate
	}
	year, ok1 := digits(text[0:4])
	month, ok2 := digits(text[5:7])
	day, ok3 := digits(text[8:10])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return stamp{}, errDate
	}
	s := stamp{micros: time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).UnixMicro()}
	if len(text) == 10 {
		return s, nil
	}
	if text[10] != 'T' && text[10] != ' ' {
		return stamp{}, errStamp
	}
	s.hasTime = true
	rest, err := s.clock(text[11:])
	if err != nil {
		return stamp{}, err
	}
	return s, s.zone(rest)
}

func (s *stamp) clock(text []byte) ([]byte, error) {
	if len(text) < 5 || text[2] != ':' {
		return nil, errStamp
	}
	hour, ok1 := digits(text[0:2])
	minute, ok2 := digits(text[3:5])
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return nil, errStamp
	}
	s.micros += int64(hour*60+minute) * 60e6
	text = text[5:]
	if len(text) == 0 || text[0] != ':' {
		return text, nil
	}
	if len(text) < 3 {
		return nil, errStamp
	}
	second, ok := digits(text[1:3])
	if !ok || second > 59 {
		return nil, errStamp
	}
	s.micros += int64(second) * 1e6
	return s.fraction(text[3:])
}

func (s *stamp) fraction(text []byte) ([]byte, error) {
	if len(text) == 0 || text[0] != '.' {
		return text, nil
	}
	unit, i := int64(100_000), 1
	for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
		s.micros += int64(text[i]-'0') * unit
		s.finer = s.finer || (unit == 0 && text[i] != '0')
		unit /= 10
	}
	if i == 1 {
		return nil, errStamp
	}
	return text[i:], nil
}

func (s *stamp) zone(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	s.hasZone = true
	if len(text) == 1 && (text[0] == 'Z' || text[0] == 'z') {
		return nil
	}
	sign := int64(1)
	switch text[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return errStamp
	}
	hour, minute, ok := offset(text[1:])
	if !ok {
		return errStamp
	}
	s.micros -= sign * int64(hour*60+minute) * 60e6
	return nil
}

// offset reads HH, HHMM or HH:MM.
func offset(text []byte) (hour, minute int, ok bool) {
	if len(text) == 5 && text[2] == ':' {
		text = append(append(make([]byte, 0, 4), text[:2]...), text[3:]...)
	}
	if len(text) != 2 && len(text) != 4 {
		return 0, 0, false
	}
	hour, ok = digits(text[:2])
	if ok && len(text) == 4 {
		minute, ok = digits(text[2:])
	}
	return hour, minute, ok && hour < 24 && minute < 60
}

func digits(text []byte) (int, bool) {
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func parseDate(text []byte) (int32, error) {
	s, err := parseStamp(text)
	if err != nil || s.hasTime {
		return 0, errDate
	}
	return s.days(), nil
}

// parseTimestamp gives microseconds. A date alone is its midnight. A column with a time zone takes text without one for UTC; a
// column without refuses text that has one, because the offset would be lost.
func parseTimestamp(text []byte, utc bool) (int64, error) {
	s, err := parseStamp(text)
	switch {
	case err != nil:
		return 0, errStamp
	case s.finer:
		return 0, errors.New("more than microseconds can't be kept")
	case s.hasZone && !utc:
		return 0, fmt.Errorf("it has a time zone, which the column (%s) would lose", Text(Field("", timestampLocal)))
	}
	return s.micros, nil
}
