package mask

import (
	"context"
	"math/big"
	"net/netip"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

const (
	toHour  = "hour"
	toDay   = "day"
	toMonth = "month"
	toYear  = "year"
)

// parseGeneralise reads which of its three kinds a rule is by the argument that it has.
func parseGeneralise(args *argReader) method {
	kinds := 0
	for _, name := range []string{"to", "band", "prefix"} {
		if args.has(name) {
			kinds++
		}
	}
	if kinds != 1 {
		args.known = append(args.known, "to", "band", "prefix", "prefix6")
		args.fault("", "it needs one of its arguments", "to for dates and timestamps, band for numbers, prefix for IP addresses in text")
		return nil
	}
	switch {
	case args.has("to"):
		return parseTo(args)
	case args.has("band"):
		return parseBand(args)
	}
	return parsePrefix(args)
}

// moments are cut to the start of an hour, a day, a month or a year in UTC, whatever time zone their type names.
type moments struct{ to string }

func parseTo(args *argReader) method {
	to := args.text("to", toYear)
	switch to {
	case toHour, toDay, toMonth, toYear:
	default:
		args.fault("to", "is "+shown(to), "hour, day, month, year")
	}
	return &moments{to: to}
}

func (m *moments) bind(in arrow.DataType) (bound, *ArgError) {
	switch t := in.(type) {
	case *arrow.TimestampType:
		perDay := secondsPerDay * (int64(1e9) / int64(t.Unit.Multiplier()))
		return bound{out: in, flat: true, run: func(_ context.Context, c *call, values arrow.Array) (arrow.Array, error) {
			return cut(c, values.(*array.Timestamp).Values(), nullsOf(values), in, perDay, m.to), nil
		}}, nil
	case *arrow.Date32Type:
		return m.bindDate(bound{out: in, flat: true, run: func(_ context.Context, c *call, values arrow.Array) (arrow.Array, error) {
			return cut(c, values.(*array.Date32).Values(), nullsOf(values), in, 1, m.to), nil
		}})
	case *arrow.Date64Type:
		return m.bindDate(bound{out: in, flat: true, run: func(_ context.Context, c *call, values arrow.Array) (arrow.Array, error) {
			return cut(c, values.(*array.Date64).Values(), nullsOf(values), in, 1000*secondsPerDay, m.to), nil
		}})
	}
	return bound{}, &ArgError{Arg: "to", Problem: "it is no time", Allowed: "dates and timestamps; band for numbers, prefix for IP addresses in text"}
}

// bindDate refuses what would leave dates as they are.
func (m *moments) bindDate(b bound) (bound, *ArgError) {
	if m.to == toHour || m.to == toDay {
		return bound{}, &ArgError{Arg: "to", Problem: "is " + shown(m.to) + ", which leaves dates as they are", Allowed: "month, year"}
	}
	return b, nil
}

// cut rounds times down. One whose start the type can't hold becomes the lowest value of the type.
func cut[T arrow.Date32 | arrow.Date64 | arrow.Timestamp](c *call, values []T, n nulls, dt arrow.DataType, perDay int64, to string) arrow.Array {
	out := newCells[T](c.alloc, len(values))
	for i, v := range values {
		if n.at(i) {
			out.values[i] = 0
			continue
		}
		step, count := perDay, int64(0)
		switch to {
		case toHour:
			step = perDay / 24
			count = floorDiv(int64(v), step)
		case toDay:
			count = floorDiv(int64(v), step)
		case toMonth:
			count, _ = monthAndYear(floorDiv(int64(v), step))
		case toYear:
			_, count = monthAndYear(floorDiv(int64(v), step))
		}
		out.values[i] = T(count * step)
		if out.values[i] > v {
			out.values[i] = lowest[T]()
		}
	}
	return out.finish(dt, n)
}

func lowest[T arrow.Date32 | arrow.Date64 | arrow.Timestamp]() T {
	low := T(-1)
	for low*2 < low {
		low *= 2
	}
	return low
}

// monthAndYear are the first days of the month and of the year of a day, all counted from 1970, in the proleptic Gregorian calendar. It
// counts years from March, and in eras of 400 years (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
func monthAndYear(day int64) (month, year int64) {
	const perEra, januaryFromMarch = 146097, 306
	era := floorDiv(day-march0, perEra)
	ofEra := day - march0 - era*perEra
	marchYear := 400*era + (ofEra-ofEra/1460+ofEra/36524-ofEra/146096)/365
	ofYear := day - firstOfMarch(marchYear)
	monthFromMarch := (5*ofYear + 2) / 153
	month = firstOfMarch(marchYear) + (153*monthFromMarch+2)/5
	if ofYear < januaryFromMarch {
		marchYear-- // January was in the year from March before
	}
	return month, firstOfMarch(marchYear) + januaryFromMarch
}

// march0 is the first of March of the year 0.
const march0 = -719468

func firstOfMarch(year int64) int64 {
	return march0 + 365*year + floorDiv(year, 4) - floorDiv(year, 100) + floorDiv(year, 400)
}

// networks are those of IP addresses in text, such as 10.1.2.0/24.
type networks struct{ bits4, bits6 int }

func parsePrefix(args *argReader) method {
	m := &networks{bits4: args.whole("prefix", 1, 31, 24)}
	m.bits6 = args.whole("prefix6", 1, 127, 2*m.bits4)
	return m
}

func (m *networks) bind(in arrow.DataType) (bound, *ArgError) {
	if !isText(in) {
		return bound{}, &ArgError{Arg: "prefix", Problem: "it is no text", Allowed: "text columns; to for dates and timestamps, band for numbers"}
	}
	return bound{out: arrow.BinaryTypes.String, run: m.run}, nil
}

// longestNetwork is the length of ffff:…:ffff/127.
const longestNetwork = 8*5 + 3

func (m *networks) run(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
	n := nullsOf(in)
	w := newTextWriter(c.alloc, in.Len(), longestNetwork*(in.Len()-n.count))
	values := textsOf(in, &n)
	for i := range in.Len() {
		if n.at(i) {
			w.next(0)
			continue
		}
		v := values.at(i)
		network, ok := m.of(v)
		if !ok {
			c.refused.Add(1)
			w.text(redacted)
			continue
		}
		w.next(len(network.AppendTo(w.room(longestNetwork)[:0])))
	}
	return w.finish(n)
}

// of takes an IPv4 address in IPv6 for what it is, and leaves zones out.
func (m *networks) of(v string) (netip.Prefix, bool) {
	address, err := netip.ParseAddr(v)
	if err != nil {
		return netip.Prefix{}, false
	}
	address = address.Unmap().WithZone("")
	length := m.bits6
	if address.Is4() {
		length = m.bits4
	}
	network, err := address.Prefix(length)
	return network, err == nil
}

// parseBand reads a width of bands.
func parseBand(args *argReader) method {
	v, _ := args.value("band")
	width, err := exactNumber(v)
	if err != nil || width.Sign() <= 0 {
		args.fault("band", "is "+shown(v), "a number above 0")
		width = big.NewRat(1, 1)
	}
	return &bands{width: width}
}
