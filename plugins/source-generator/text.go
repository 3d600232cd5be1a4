package main

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

const (
	// distinctTexts is how many different values a text column has.
	distinctTexts = 4096
	// maxText is the longest text in bytes; with maxBatchRows it keeps the offsets of a batch below two GiB.
	maxText = 4096
)

func (m *maker) strings() (valuesFunc, error) {
	switch m.Generator {
	case "choice", "constant":
		values, err := choices(m, parseText)
		return fromList(m.random, values), err
	case "text":
		length := m.Length
		if length == 0 {
			length = 24
		}
		if length < 1 || length > maxText {
			return nil, sdk.ConfigError(m.path+"/length", "%d is out of range, expected 1 to %d", length, maxText)
		}
		return fromList(m.random, wordings(m.random, length)), nil
	case "uuid":
		return uuids(m.random), nil
	}
	return nil, m.unfit("text", "choice", "uuid", "constant")
}

// wordings are texts of about half the length up to the length.
func wordings(random random, length int) []string {
	words := strings.Fields("amber anchor basin beacon birch canal cedar cipher cobalt copper coral delta drift ember falcon fern " +
		"fjord flint gale garnet glacier harbor hazel heron indigo iris island ivory jade juniper kelp lagoon lantern larch " +
		"linen maple marble meadow mesa moss nectar oasis ochre olive onyx orchid otter pearl pebble pine plume prairie quartz " +
		"raven reed ridge river saffron sage slate sparrow spruce summit thistle tide timber topaz valley velvet willow")
	texts := make([]string, distinctTexts)
	draws := int64(0)
	for i := range texts {
		wanted := (length+1)/2 + int(below(random.at(draws), uint64(length/2+1))) //nolint:gosec // the length is checked to be small
		var text strings.Builder
		for text.Len() < wanted {
			draws++
			if text.Len() > 0 {
				text.WriteByte(' ')
			}
			text.WriteString(words[below(random.at(draws), uint64(len(words)))])
		}
		texts[i] = strings.TrimRight(text.String()[:wanted], " ")
	}
	return texts
}

// fromList draws from a list of values.
func fromList(random random, values []string) valuesFunc {
	slots := make([]slot, len(values))
	for i, v := range values {
		slots[i] = newSlot(v)
	}
	return func(alloc memory.Allocator, from int64, n int) []*memory.Buffer {
		offsets := resized(alloc, arrow.Int32Traits.BytesRequired(n+1))
		ends := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
		picked := make([]uint16, n)
		end := int32(0)
		ends[0] = 0
		for i := range picked {
			pick := below(random.at(from+int64(i)), uint64(len(slots)))
			picked[i] = uint16(pick) //nolint:gosec // choices and distinctTexts are fewer
			end += slots[pick].length
			ends[i+1] = end
		}
		data := resized(alloc, int(end)+slotBytes)
		for i, pick := range picked {
			slots[pick].write(data.Bytes()[ends[i]:])
		}
		data.Resize(int(end))
		return []*memory.Buffer{offsets, data}
	}
}

const (
	slotBytes  = 32
	maxChoices = 1 << 16
)

// slot is a value that is copied with two fixed moves if it is short: three times as fast as a copy of its true length.
type slot struct {
	short  [slotBytes]byte
	length int32
	long   string
}

func newSlot(v string) slot {
	s := slot{length: int32(len(v))} //nolint:gosec // maxText bounds it
	if copy(s.short[:], v) < len(v) {
		s.long = v
	}
	return s
}

// write needs slotBytes more of dst than the value has; what it leaves behind the value is overwritten by the next one.
func (s *slot) write(dst []byte) {
	if s.long != "" {
		copy(dst, s.long)
		return
	}
	*(*[slotBytes]byte)(dst) = s.short
}

const uuidLength = 36

// uuids are of version 4 in form: 122 random bits.
func uuids(random random) valuesFunc {
	second := ^random
	return func(alloc memory.Allocator, from int64, n int) []*memory.Buffer {
		offsets := resized(alloc, arrow.Int32Traits.BytesRequired(n+1))
		for i, ends := 0, arrow.Int32Traits.CastFromBytes(offsets.Bytes()); i <= n; i++ {
			ends[i] = int32(i * uuidLength)
		}
		data := resized(alloc, n*uuidLength)
		rest := data.Bytes()
		for i := range n {
			writeUUID(rest, random.at(from+int64(i)), second.at(from+int64(i)))
			rest = rest[uuidLength:]
		}
		return []*memory.Buffer{offsets, data}
	}
}

func writeUUID(dst []byte, high, low uint64) {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:], high)
	binary.BigEndian.PutUint64(raw[8:], low)
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	hex.Encode(dst, raw[:4])
	hex.Encode(dst[9:], raw[4:6])
	hex.Encode(dst[14:], raw[6:8])
	hex.Encode(dst[19:], raw[8:10])
	hex.Encode(dst[24:], raw[10:])
	dst[8], dst[13], dst[18], dst[23] = '-', '-', '-', '-'
}
