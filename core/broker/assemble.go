package broker

import (
	"slices"
	"time"
)

// part is one message of a log as read.
type part struct {
	seq     uint64
	control bool
	mark    mark
	ours    bool // has a mark that can be read
	header  string
	body    []byte
	time    time.Time
}

// size is about what the part takes in memory.
func (p part) size() int { return len(p.body) + len(p.header) + markRoom }

// found is what the assembler has for the reader: a message or a gap.
type found struct {
	message Message
	gap     *GapError
}

// assembler puts parts together again, in the order of their sequences. It
// never drops one silently: each part ends up in a frame, whole or torn.
type assembler struct {
	open  []part
	ready []found
}

// take adds the next part.
func (a *assembler) take(p part) {
	if a.continues(p) {
		a.open = append(a.open, p)
	} else {
		a.flush()
		a.open = append(a.open[:0], p)
	}
	if last := a.open[len(a.open)-1].mark; !p.ours || last.part == last.parts {
		a.flush()
	}
}

// skip records that sequences are missing between the parts taken and the next.
func (a *assembler) skip(first, last uint64) {
	a.flush()
	a.ready = append(a.ready, found{gap: &GapError{First: first, Last: last}})
}

func (a *assembler) pop() (found, bool) {
	if len(a.ready) == 0 {
		return found{}, false
	}
	f := a.ready[0]
	a.ready[0] = found{}
	a.ready = a.ready[1:]
	return f, true
}

func (a *assembler) continues(p part) bool {
	if len(a.open) == 0 || !p.ours {
		return false
	}
	last := a.open[len(a.open)-1]
	want := last.mark
	want.part++
	return p.mark == want && p.control == last.control
}

// flush turns the open parts into a frame.
func (a *assembler) flush() {
	if len(a.open) == 0 {
		return
	}
	first, last := a.open[0], a.open[len(a.open)-1]
	m := Message{First: first.seq, Last: last.seq, Control: first.control, Epoch: first.mark.epoch, Time: first.time}
	headed := first.ours && first.mark.part == 1
	if headed {
		m.Header, headed = decodeHeader(first.header)
	}
	m.Torn = !headed || last.mark.part != last.mark.parts
	if !m.Torn {
		m.Body = a.body()
	}
	a.ready = append(a.ready, found{message: m})
	clear(a.open)
	a.open = a.open[:0]
}

func (a *assembler) body() []byte {
	if len(a.open) == 1 {
		return a.open[0].body
	}
	bodies := make([][]byte, len(a.open))
	for i, p := range a.open {
		bodies[i] = p.body
	}
	return slices.Concat(bodies...)
}
