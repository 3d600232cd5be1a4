package mask

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

const benchRows = 8192

// benchColumns are texts like addresses and card numbers, and integers: all different, or of 100 values.
func benchColumns(distinct int) map[string]arrow.Array {
	rnd := rand.New(rand.NewPCG(3, 4))
	alloc := memory.NewGoAllocator()
	mail, card, ip := array.NewStringBuilder(alloc), array.NewStringBuilder(alloc), array.NewStringBuilder(alloc)
	number, at := array.NewInt64Builder(alloc), array.NewTimestampBuilder(alloc, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"})
	for range benchRows {
		v := rnd.Int64N(int64(distinct))
		number.Append(v * 7919)
		at.Append(arrow.Timestamp(v * 1e9))
		mail.Append(fmt.Sprintf("customer%d@example.com", v))
		card.Append(fmt.Sprintf("4111-%04d-%04d-%04d", v/10000%10000, v%10000, v%97))
		ip.Append(fmt.Sprintf("10.%d.%d.%d", v>>16%256, v>>8%256, v%256))
	}
	return map[string]arrow.Array{"mail": mail.NewArray(), "card": card.NewArray(), "ip": ip.NewArray(), "int": number.NewArray(), "time": at.NewArray()}
}

// cpuTime is what the process has used so far, with its garbage collection: it says more than the clock where others use the machine.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkMasks(b *testing.B) {
	for _, c := range []struct {
		name, column string
		distinct     int
		rule         Rule
	}{
		{"null/text", "mail", 1e8, Rule{Method: "null"}},
		{"constant/text", "mail", 1e8, Rule{Method: "constant", Args: args{"value": "hidden"}}},
		{"constant/int", "int", 1e8, Rule{Method: "constant", Args: args{"value": 7}}},
		{"redact/text", "mail", 1e8, Rule{Method: "redact"}},
		{"redact/int", "int", 1e8, Rule{Method: "redact"}},
		{"partial/text", "mail", 1e8, Rule{Method: "partial", Args: args{"keep_first": 1, "keep_last": 4}}},
		{"hash/text", "mail", 1e8, Rule{Method: "hash", Args: args{"key": "one"}}},
		{"hash/text-of-100", "mail", 100, Rule{Method: "hash", Args: args{"key": "one"}}},
		{"hash/int", "int", 1e8, Rule{Method: "hash", Args: args{"key": "one"}}},
		{"hash/int-of-100", "int", 100, Rule{Method: "hash", Args: args{"key": "one"}}},
		{"tokenise/letters-and-digits", "mail", 1e8, tokenRule},
		{"tokenise/digits", "card", 1e8, tokenRule},
		{"tokenise/digits-of-100", "card", 100, tokenRule},
		{"tokenise/int", "int", 1e8, tokenRule},
		{"generalise/time-to-hour", "time", 1e8, generalised(args{"to": "hour"})},
		{"generalise/time-to-month", "time", 1e8, generalised(args{"to": "month"})},
		{"generalise/int-to-band", "int", 1e8, generalised(args{"band": 100})},
		{"generalise/ip-to-network", "ip", 1e8, generalised(args{"prefix": 24})},
	} {
		column := benchColumns(c.distinct)[c.column]
		b.Run(c.name, func(b *testing.B) {
			in := batchOf(b, column)
			m := newMasker(b, memory.NewGoAllocator(), in.Schema(), map[string]Rule{"a": c.rule})
			b.ReportAllocs()
			started := cpuTime(b)
			for b.Loop() {
				out, err := m.Apply(b.Context(), in)
				if err != nil {
					b.Fatal(err)
				}
				out.Release()
			}
			b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mvalues/s")
			b.ReportMetric(benchRows*float64(b.N)/(cpuTime(b)-started).Seconds()/1e6, "Mvalues/cpu-s")
		})
	}
}
