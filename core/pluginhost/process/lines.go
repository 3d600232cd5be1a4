package process

import (
	"bytes"
	"sync"
)

// maxLine is the length at which a line is cut: what a plugin writes is text for people, not a way to fill the host's memory.
const maxLine = 8 << 10

// lines is an io.Writer that calls emit for each line. Safe for concurrent use.
type lines struct {
	emit func(string)

	mu   sync.Mutex
	part []byte
	skip bool // the rest of a line that was cut
}

// Write implements io.Writer. It never fails.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := len(p)
	for len(p) > 0 {
		text, rest, ended := bytes.Cut(p, []byte{'\n'})
		l.add(text)
		if ended {
			l.end()
		}
		p = rest
	}
	return size, nil
}

func (l *lines) add(text []byte) {
	if l.skip {
		return
	}
	fits := min(len(text), maxLine-len(l.part))
	l.part = append(l.part, text[:fits]...)
	if fits < len(text) {
		l.emit(string(l.part) + "…")
		l.part, l.skip = l.part[:0], true
	}
}

func (l *lines) end() {
	if !l.skip && len(l.part) > 0 {
		l.emit(string(bytes.TrimSuffix(l.part, []byte{'\r'})))
	}
	l.part, l.skip = l.part[:0], false
}

// flush emits a last line that has no end.
func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}
