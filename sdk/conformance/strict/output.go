package strict

import (
	"bytes"
	"strings"
	"sync"
)

// mostOutput bounds what is kept of each way in which a plugin speaks.
const mostOutput = 16 << 20

// Output is all that a process has said: what it printed, what it logged, and what its answers say in words. Safe for concurrent
// use.
type Output struct {
	mu      sync.Mutex
	printed bytes.Buffer
	logged  bytes.Buffer
	said    bytes.Buffer
}

// pen writes into one of the buffers.
type pen struct {
	out *Output
	to  *bytes.Buffer
}

// Write implements io.Writer. It never fails; what is too much is dropped.
func (p pen) Write(b []byte) (int, error) {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	if room := mostOutput - p.to.Len(); room > 0 {
		p.to.Write(b[:min(len(b), room)])
	}
	return len(b), nil
}

func (o *Output) say(texts ...string) {
	for _, text := range texts {
		_, _ = pen{o, &o.said}.Write([]byte(text + "\n"))
	}
}

func (o *Output) text(b *bytes.Buffer) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return b.String()
}

// Printed is what the process wrote to stdout, beside the handshake.
func (o *Output) Printed() string { return o.text(&o.printed) }

// Logged is what it wrote to stderr.
func (o *Output) Logged() string { return o.text(&o.logged) }

// Said is what its answers say in words: errors, faults, descriptions, reasons.
func (o *Output) Said() string { return o.text(&o.said) }

// Last are the last lines of the log, or the beginning of a panic.
func (o *Output) Last() []string {
	const most = 12
	lines := strings.Split(strings.TrimSpace(o.Logged()), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return lines[i:min(len(lines), i+most)]
		}
	}
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-most):]
}
