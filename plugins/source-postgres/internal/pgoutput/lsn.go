package pgoutput

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// LSN is a place in the server's write-ahead log, in bytes. Its text form is PostgreSQL's: the two halves in hexadecimal, "16/B374D848".
// Zero is no place.
type LSN uint64

// ParseLSN reads PostgreSQL's text form.
func ParseLSN(text string) (LSN, error) {
	high, low, found := strings.Cut(text, "/")
	h, err := half(high)
	if err != nil || !found {
		return 0, fmt.Errorf("%q is no LSN: want two hexadecimal numbers of at most 8 digits, such as %q", text, "16/B374D848")
	}
	l, err := half(low)
	if err != nil {
		return 0, fmt.Errorf("%q is no LSN: want two hexadecimal numbers of at most 8 digits, such as %q", text, "16/B374D848")
	}
	return LSN(h<<32 | l), nil
}

func half(digits string) (uint64, error) {
	if len(digits) > 8 {
		return 0, strconv.ErrRange
	}
	return strconv.ParseUint(digits, 16, 32)
}

// String is PostgreSQL's text form.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint64(l)&0xFFFFFFFF) }

// MarshalText implements encoding.TextMarshaler.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LSN) UnmarshalText(text []byte) error {
	parsed, err := ParseLSN(string(text))
	if err == nil {
		*l = parsed
	}
	return err
}

// Bytes is the LSN in a form that sorts bytewise: 8 bytes, big-endian.
func (l LSN) Bytes() []byte { return binary.BigEndian.AppendUint64(nil, uint64(l)) }
