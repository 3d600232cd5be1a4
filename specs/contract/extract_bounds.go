package contract

import (
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// interval adds the range that up to four options span. Where both an open and a closed bound stand on one side, each
// gets its own rule.
func (x *extractor) interval(c Column, o *TypeOptions, at Place) {
	low, lowOpen := sides(o.Minimum, o.ExclusiveMinimum)
	high, highOpen := sides(o.Maximum, o.ExclusiveMaximum)
	x.between(c, at, low, high)
	x.between(c, at, lowOpen, highOpen)
}

type side struct {
	value     *Scalar
	exclusive bool
}

// sides gives the first bound and, only where there are two, the second. v3.0.x makes a bound exclusive by a boolean.
func sides(plain, exclusive *Scalar) (first, second side) {
	switch {
	case exclusive == nil:
		return side{value: plain}, side{}
	case exclusive.Bool != nil:
		return side{value: plain, exclusive: *exclusive.Bool}, side{}
	case plain == nil:
		return side{value: exclusive, exclusive: true}, side{}
	default:
		return side{value: plain}, side{value: exclusive, exclusive: true}
	}
}

func (x *extractor) between(c Column, at Place, low, high side) {
	if low.value == nil && high.value == nil {
		return
	}
	minimum, lowErr := x.bound(c, low)
	maximum, highErr := x.bound(c, high)
	if err := errors.Join(lowErr, highErr); err != nil {
		x.refuse(at, "range of "+c.Name(), err.Error())
	}
	if minimum == nil && maximum == nil {
		return
	}
	x.rule(Rule{Kind: KindRange, Columns: []Column{c}, Min: minimum, Max: maximum, Place: at, Dimension: "conformity"})
}

func (x *extractor) bound(c Column, s side) (*Bound, error) {
	switch {
	case s.value == nil:
		return nil, nil // an open side
	case s.value.Number != nil:
		return &Bound{Of: BoundNumber, Number: *s.value.Number, Exclusive: s.exclusive}, nil
	case s.value.Text == nil:
		return nil, fmt.Errorf("expected a bound, found a boolean")
	}
	b := &Bound{Of: BoundTime, Exclusive: s.exclusive}
	at, err := x.instant(c, *s.value.Text)
	if err != nil {
		return nil, err
	}
	b.Time = at
	if c.Type.ID() == arrow.TIME64 {
		midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, at.Location())
		return &Bound{Of: BoundOfDay, SinceMidnight: at.Sub(midnight), Exclusive: s.exclusive}, nil
	}
	return b, nil
}

// isoLayouts are tried after the column's own format: authors write bounds in ISO 8601 whatever the data looks like.
var isoLayouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999",
	time.DateTime, time.DateOnly, time.TimeOnly, "15:04", "15:04:05Z07:00",
}

func (x *extractor) instant(c Column, text string) (time.Time, error) {
	layouts := isoLayouts
	if o := c.Property.LogicalTypeOptions; o.Format != "" {
		// An unusable format is reported with the type of the column.
		if layout, err := goLayout(o.Format); err == nil {
			layouts = append([]string{layout}, isoLayouts...)
		}
	}
	zone := time.UTC
	if o := c.Property.LogicalTypeOptions; o.Timezone != nil && *o.Timezone && o.DefaultTimezone != "" {
		if z, err := time.LoadLocation(o.DefaultTimezone); err == nil {
			zone = z
		}
	}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("bound %q is in neither the column's format nor ISO 8601", text)
}
