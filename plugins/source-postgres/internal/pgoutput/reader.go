package pgoutput

import (
	"bytes"
	"encoding/binary"
	"time"
)

// epoch is 2000-01-01, from which PostgreSQL counts microseconds, as Unix microseconds.
const epoch = 946_684_800_000_000

// reader takes a message apart from its beginning. Once it has come to the end too early, it gives zeros.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.short, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.short = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) lsn() LSN { return LSN(r.uint64()) }

func (r *reader) time() time.Time {
	return time.UnixMicro(int64(r.uint64()) + epoch).UTC() //nolint:gosec // two's complement on the wire
}

// text is a string that ends with a zero byte. It is copied.
func (r *reader) text() string {
	end := bytes.IndexByte(r.rest, 0)
	if end < 0 {
		r.short, r.rest = true, nil
		return ""
	}
	s := string(r.rest[:end])
	r.rest = r.rest[end+1:]
	return s
}

// count checks that as many items as announced can follow, each of at least so many bytes: nothing is allocated for more.
func (r *reader) count(n, least int) int {
	if n < 0 || n > len(r.rest)/least {
		r.short, r.rest = true, nil
		return 0
	}
	return n
}
