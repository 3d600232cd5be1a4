package value

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Row is a row of a COPY stream. It is valid until the function that was given it returns.
type Row struct {
	// Fields in binary form, nil for a null. Those that would take the row over the limit are nil, too; Sizes has theirs.
	Fields [][]byte
	// Sizes of the fields in bytes, -1 for a null.
	Sizes []int32
	// Size is the sum of them.
	Size int64
	// Oversize rows are larger than the limit: not all of their fields are there.
	Oversize bool
}

// Copy decodes a stream of COPY … TO STDOUT (FORMAT binary). The stream is written to it in pieces that may end anywhere. A row that
// lies in one piece is not copied. Of others it holds at most the limit: what is more is read past, and the row says how large it was.
type Copy struct {
	limit int64
	each  func(*Row) error

	state  state
	failed error
	row    Row

	// Of a row that lies in several pieces:
	head  [len(signature) + 8]byte // of what is being read: the stream's header, a count, a length
	got   int
	field int
	left  int64
	skips bool
	held  []byte
	ends  []int // of the fields in held
}

type state uint8

const (
	inHeader state = iota
	inExtension
	atRow
	inLength
	inData
	atEnd
)

const signature = "PGCOPY\n\xff\r\n\x00"

// keptBuffer is how large a buffer may stay from row to row.
const keptBuffer = 1 << 20

// ErrStream is what is wrong with a stream that is no COPY stream of the expected columns.
var ErrStream = errors.New("malformed COPY stream")

func streamError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrStream, fmt.Sprintf(format, args...))
}

// NewCopy gives each row of so many fields to a function, whose error ends the stream. The limit is of a row's fields, in bytes.
func NewCopy(fields int, limit int64, each func(*Row) error) *Copy {
	return &Copy{
		limit: limit, each: each, ends: make([]int, fields),
		row: Row{Fields: make([][]byte, fields), Sizes: make([]int32, fields)},
	}
}

// Write takes the next piece of the stream and gives the rows that it completes to the function.
func (c *Copy) Write(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	rest := p
	for len(rest) > 0 && c.failed == nil {
		if c.state == atRow && c.got == 0 {
			if n := c.whole(rest); n > 0 {
				rest = rest[n:]
				c.failed = c.each(&c.row)
				continue
			}
		}
		rest, c.failed = c.step(rest)
	}
	return len(p) - len(rest), c.failed
}

// Close says that the stream is over, which is an error before its trailer.
func (c *Copy) Close() error {
	switch {
	case c.failed != nil:
		return c.failed
	case c.state != atEnd:
		c.failed = streamError("it ends before its trailer")
	}
	return c.failed
}

// whole reads a row that lies in p as a whole and gives its size there; 0 if it does not, or if anything is odd, which step sees to.
func (c *Copy) whole(p []byte) int {
	if len(p) < 2 || int(binary.BigEndian.Uint16(p)) != len(c.row.Fields) {
		return 0
	}
	at := 2
	for i := range c.row.Fields {
		if len(p)-at < 4 {
			return 0
		}
		size := int32(binary.BigEndian.Uint32(p[at:])) //nolint:gosec // the bits are an int32
		at += 4
		c.row.Sizes[i] = size
		if size < 0 {
			if size != -1 {
				return 0
			}
			c.row.Fields[i] = nil
			continue
		}
		if len(p)-at < int(size) {
			return 0
		}
		c.row.Fields[i] = p[at : at+int(size) : at+int(size)]
		at += int(size)
	}
	c.row.Size = int64(at - 2 - 4*len(c.row.Fields))
	if c.row.Size > c.limit {
		return 0
	}
	c.row.Oversize = false
	return at
}

// step takes what p has of the part of the stream that comes next.
func (c *Copy) step(p []byte) ([]byte, error) {
	switch c.state {
	case inExtension, inData:
		n := min(c.left, int64(len(p)))
		if c.state == inData && !c.skips {
			c.held = append(c.held, p[:n]...)
		}
		c.left -= n
		return p[n:], c.advance()
	case atEnd:
		return p, streamError("%d bytes after its trailer", len(p))
	}
	want := len(c.head)
	switch c.state {
	case atRow:
		want = 2
	case inLength:
		want = 4
	}
	n := copy(c.head[c.got:want], p)
	if c.got += n; c.got < want {
		return p[n:], nil
	}
	c.got = 0
	return p[n:], c.begin(c.head[:want])
}

// begin acts on a header, a count or a length that is there as a whole.
func (c *Copy) begin(head []byte) error {
	switch c.state {
	case inHeader:
		return c.header(head)
	case atRow:
		count := int16(binary.BigEndian.Uint16(head)) //nolint:gosec // the bits are an int16
		switch {
		case count == -1:
			c.state = atEnd
			return nil
		case int(count) != len(c.row.Fields):
			return streamError("a row of %d fields, expected %d", count, len(c.row.Fields))
		}
		if c.held == nil {
			c.held = make([]byte, 0, 4<<10) // an empty field is no null
		}
		c.field, c.held, c.state = 0, c.held[:0], inLength
		c.row.Size, c.row.Oversize = 0, false
		return c.rowDone()
	}
	return c.length(int32(binary.BigEndian.Uint32(head))) //nolint:gosec // the bits are an int32
}

func (c *Copy) header(head []byte) error {
	if !bytes.HasPrefix(head, []byte(signature)) {
		return streamError("it does not begin with the signature of the binary format")
	}
	flags, extension := binary.BigEndian.Uint32(head[len(signature):]), binary.BigEndian.Uint32(head[len(signature)+4:])
	if flags>>16 != 0 || extension > math.MaxInt32 {
		return streamError("its header has flags %#x and an extension of %d bytes", flags, extension)
	}
	c.state, c.left = inExtension, int64(extension)
	return c.advance()
}

// length begins a field.
func (c *Copy) length(size int32) error {
	if size < -1 {
		return streamError("a field of %d bytes", size)
	}
	c.row.Sizes[c.field] = size
	c.left = int64(max(size, 0))
	c.row.Size += c.left
	if c.skips = int64(len(c.held))+c.left > c.limit; c.skips {
		c.row.Oversize = true
	}
	c.state = inData
	return c.advance()
}

// advance goes on after an extension or a field that is there as a whole.
func (c *Copy) advance() error {
	switch {
	case c.left > 0:
		return nil
	case c.state == inExtension:
		c.state = atRow
		return nil
	}
	c.ends[c.field] = len(c.held)
	if c.skips {
		c.ends[c.field] = -1
	}
	c.field++
	c.state = inLength
	return c.rowDone()
}

// rowDone gives the row away if it has all of its fields.
func (c *Copy) rowDone() error {
	if c.field < len(c.row.Fields) {
		return nil
	}
	c.state = atRow
	c.row.Oversize = c.row.Oversize || c.row.Size > c.limit
	start := 0
	for i, end := range c.ends {
		c.row.Fields[i] = nil
		if end < 0 {
			continue
		}
		if c.row.Sizes[i] >= 0 {
			c.row.Fields[i] = slices.Clip(c.held[start:end])
		}
		start = end
	}
	err := c.each(&c.row)
	if cap(c.held) > keptBuffer {
		c.held = nil
	}
	return err
}
