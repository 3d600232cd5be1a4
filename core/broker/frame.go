package broker

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Frame is what a publisher puts into a log as one piece.
type Frame struct {
	// Control frames can be read without the data between them.
	Control bool
	// Header takes any text; all of it together must stay below 32 KiB encoded,
	// and below half of a part on servers and logs with small limits.
	Header map[string]string
	// Body is the concatenation of its pieces. Publish copies them.
	Body [][]byte
}

// Message is a frame as a reader finds it.
type Message struct {
	// First and Last are the stream sequences of the frame's parts.
	First, Last uint64
	Control     bool
	// Torn marks a frame that is not whole: its first parts were purged, its
	// later parts were never written because its publisher ended, or it was not
	// written by Qanat. It has no Body, and a Header only if its first part is
	// there. It is to be skipped; it is reported so that nothing vanishes silently.
	Torn   bool
	Header map[string]string
	Body   []byte
	// Epoch of the publisher.
	Epoch uint64
	// Time is when the frame's first part that is there was stored.
	Time time.Time
}

const (
	headerMark  = "Qanat-Frame"
	headerUser  = "Qanat-Header"
	markVersion = "1"

	minPayload = 64 << 10
	// maxPart bounds a part also on servers that take more, so that the
	// reader's prefetch always has room for the next one.
	maxPart = 8 << 20
	// markRoom is for all headers but the user's.
	markRoom  = 1 << 10
	maxHeader = 32 << 10
	// partsPerLog: the newest message always stays in the log, and the next
	// part must fit beside it.
	partsPerLog   = 4
	framesPerLog  = 2
	minLogBytes   = partsPerLog * minPayload
	maxFrameParts = 1 << 20
)

// mark identifies a part in its message's headers.
type mark struct {
	epoch       uint64
	publisher   string
	frame       uint64
	part, parts int
}

func (m mark) String() string {
	return fmt.Sprintf("%s %d %s %d %d %d", markVersion, m.epoch, m.publisher, m.frame, m.part, m.parts)
}

// id is the part's message id: unique, and the link to it for the next part.
func (m mark) id() string {
	return m.publisher + "." + strconv.FormatUint(m.frame, 10) + "." + strconv.Itoa(m.part)
}

func parseMark(s string) (mark, bool) {
	f := strings.Split(s, " ")
	if len(f) != 6 || f[0] != markVersion || f[2] == "" {
		return mark{}, false
	}
	epoch, err1 := strconv.ParseUint(f[1], 10, 64)
	frame, err2 := strconv.ParseUint(f[3], 10, 64)
	part, err3 := strconv.Atoi(f[4])
	parts, err4 := strconv.Atoi(f[5])
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return mark{}, false
	}
	if part < 1 || part > parts || parts > maxFrameParts {
		return mark{}, false
	}
	return mark{epoch: epoch, publisher: f[2], frame: frame, part: part, parts: parts}, true
}

// encodeHeader writes any text into one line: values may hold line breaks,
// which would end a header of the protocol.
func encodeHeader(h map[string]string) string {
	v := make(url.Values, len(h))
	for name, value := range h {
		v.Set(name, value)
	}
	return v.Encode()
}

func decodeHeader(s string) (map[string]string, bool) {
	v, err := url.ParseQuery(s)
	if err != nil {
		return nil, false
	}
	h := make(map[string]string, len(v))
	for name, values := range v {
		h[name] = values[0]
	}
	return h, true
}

// limits are what one server and one log allow for a frame.
type limits struct {
	part, frame int
}

func limitsOf(maxPayload, maxBytes int64) limits {
	if maxBytes <= 0 {
		maxBytes = 1 << 40
	}
	part := min(maxPayload, maxPart, maxBytes/partsPerLog) - markRoom
	return limits{part: int(part), frame: int(maxBytes / framesPerLog)}
}

// cut copies a body into parts that fit a message beside a header of headerSize.
func (l limits) cut(body [][]byte, headerSize int) ([][]byte, error) {
	if allowed := min(maxHeader, l.part/2); headerSize > allowed {
		return nil, fmt.Errorf("%w: its header takes %d bytes, %d are allowed", ErrFrameTooLarge, headerSize, allowed)
	}
	size := 0
	for _, piece := range body {
		size += len(piece)
	}
	if size > l.frame {
		return nil, fmt.Errorf("%w: its body has %d bytes, the log's limit allows %d", ErrFrameTooLarge, size, l.frame)
	}
	whole := slices.Concat(body...)
	room := l.part - headerSize
	parts := make([][]byte, 0, size/room+1)
	for len(whole) > room {
		parts = append(parts, whole[:room:room])
		whole = whole[room:]
	}
	return append(parts, whole), nil
}
