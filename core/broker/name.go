package broker

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// names holds what one flow's log is called on the server.
type names struct {
	stream, data, control string
}

const (
	defaultPrefix = "qanat"
	// The server stores a stream in a folder of its name: 255 bytes at most.
	maxStreamName = 240
)

var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9_]{1,40}$`)

func namesOf(prefix, flow string) (names, error) {
	if flow == "" {
		return names{}, fmt.Errorf("flow name %q: expected at least one character", flow)
	}
	token := escape(flow)
	stream := prefix + "-log-" + token
	if len(stream) > maxStreamName {
		return names{}, fmt.Errorf("flow name %q is too long: its log would be called by %d bytes, %d are allowed",
			flow, len(stream), maxStreamName)
	}
	subject := prefix + ".log." + token
	return names{stream: stream, data: subject + ".data", control: subject + ".control"}, nil
}

// flowOf is the inverse of namesOf; false for a stream that is not a log of this prefix.
func flowOf(prefix, stream string) (string, bool) {
	token, ok := strings.CutPrefix(stream, prefix+"-log-")
	if !ok || token == "" {
		return "", false
	}
	return unescape(token)
}

// escape keeps letters, digits, '-' and '_' and writes every other byte as =XX,
// so that any flow name makes one subject token and one folder name, reversibly.
func escape(flow string) string {
	var b strings.Builder
	for _, c := range []byte(flow) {
		if plain(c) {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "=%02X", c)
	}
	return b.String()
}

func unescape(token string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '=' {
			b.WriteByte(token[i])
			continue
		}
		if i+2 >= len(token) {
			return "", false
		}
		c, err := strconv.ParseUint(token[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), true
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
