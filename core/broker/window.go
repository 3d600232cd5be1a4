package broker

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pending is a part in flight.
type pending struct {
	seq     uint64
	prev    string // id of the part before it
	control bool
	mark    mark
	size    int
	msg     *nats.Msg
}

// part is what a reader makes of it.
func (p *pending) part() part {
	return part{
		seq: p.seq, control: p.control, mark: p.mark, ours: true, header: p.msg.Header.Get(headerUser), body: p.msg.Data, time: time.Now(),
	}
}

// fault says why the run loop must stop sending and look.
type fault struct {
	kind faultKind
	err  error
}

type faultKind int

const (
	faultNone   faultKind = iota
	faultFull             // refused for room: nothing behind it can have been stored
	faultUnsure           // refused for order, timed out or cut off: the log must be looked at
	faultFatal            // no retry helps
)

// room tells whether a frame may join the window; a frame larger than the
// bounds joins when it is alone. Nothing joins before the first frame is
// stored: until then sequences can still shift.
func (p *Publisher) room(size, parts int) bool {
	if len(p.window) == 0 {
		return true
	}
	return p.begun && p.bytes+size <= maxBytesInFlight && len(p.window)+parts <= maxPartsInFlight
}

// append queues the parts of a frame and returns the first.
func (p *Publisher) append(control bool, header string, bodies [][]byte) *pending {
	p.frames++
	subject := p.log.names.data
	if control {
		subject = p.log.names.control
	}
	at := len(p.window)
	for i, body := range bodies {
		m := mark{epoch: p.epoch, publisher: p.id, frame: p.frames, part: i + 1, parts: len(bodies)}
		msg := &nats.Msg{Subject: subject, Data: body, Header: nats.Header{
			headerMark:            {m.String()},
			jetstream.MsgIDHeader: {m.id()},
		}}
		if i == 0 && header != "" {
			msg.Header.Set(headerUser, header)
		}
		part := &pending{seq: p.next, prev: p.prev, control: control, mark: m, size: len(body) + len(header) + markRoom, msg: msg}
		p.window = append(p.window, part)
		p.bytes += part.size
		p.next++
		p.prev = m.id()
	}
	return p.window[at]
}

// base is the sequence of the oldest part that is not known to be stored.
func (p *Publisher) base() uint64 { return p.next - uint64(len(p.window)) }

// stored takes what is stored up to a sequence out of the window.
func (p *Publisher) stored(upto uint64) {
	n := int(upto + 1 - p.base()) //nolint:gosec // both lie in the window
	for i, part := range p.window[:n] {
		p.log.recent.add(part.part())
		p.bytes -= part.size
		p.window[i] = nil
	}
	p.window = p.window[n:]
	p.sent = max(p.sent-n, 0)
	p.begun = true
	p.probing = false
	if p.ailing {
		p.ailing = false
		p.log.broker.cured(&p.ail)
	}
}

// ails makes it known that nothing is stored any more.
func (p *Publisher) ails(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ailing = true
	p.log.broker.ails(&p.ail, cause)
}

// healed takes that back.
func (p *Publisher) healed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ailing = false
	p.log.broker.cured(&p.ail)
}

// shift moves the window behind a sequence that a fenced publisher has taken.
func (p *Publisher) shift(last uint64) {
	p.next = last + 1
	for _, part := range p.window {
		part.seq = p.next
		p.next++
	}
}

// due returns the next part to send, with its expectations in its headers. A
// part that follows others in flight names their last id: a sequence alone
// could be met by another publisher's message.
func (p *Publisher) due() (*nats.Msg, bool) {
	if p.fault.kind != faultNone || p.sent == len(p.window) || p.probing && p.sent > 0 {
		return nil, false
	}
	part := p.window[p.sent]
	header := part.msg.Header
	header[jetstream.ExpectedLastSeqHeader] = []string{strconv.FormatUint(part.seq-1, 10)}
	delete(header, jetstream.ExpectedLastMsgIDHeader)
	if !p.probing && part.prev != "" {
		header[jetstream.ExpectedLastMsgIDHeader] = []string{part.prev}
	}
	part.msg.Reply = fmt.Sprintf("%s.%d.%d", p.inbox, p.generation, part.seq)
	p.sent++
	return part.msg, true
}

// ack is what the server answers to a message.
type ack struct {
	Error *jetstream.APIError `json:"error"`
	Seq   uint64              `json:"seq"`
}

// onAck runs on the connection's goroutine for this publisher.
func (p *Publisher) onAck(msg *nats.Msg) {
	generation, seq, ok := parseReply(strings.TrimPrefix(msg.Subject, p.inbox+"."))
	if !ok {
		return
	}
	p.mu.Lock()
	current := generation == p.generation && seq >= p.base() && seq < p.base()+uint64(p.sent) //nolint:gosec // sent is not negative
	if current {
		p.settleAck(seq, msg)
	}
	p.mu.Unlock()
	if current {
		p.moved.fire()
		p.nudge()
	}
}

// settleAck takes the answer for a part that is in flight. Success means that
// everything before it is stored too: each part names the one before.
func (p *Publisher) settleAck(seq uint64, msg *nats.Msg) {
	var a ack
	err := json.Unmarshal(msg.Data, &a)
	switch {
	case len(msg.Data) == 0 || err != nil:
		p.blame(faultUnsure, noAnswer(msg.Header.Get("Status")))
	case a.Error == nil && a.Seq == seq:
		p.stored(seq)
	case a.Error == nil:
		p.blame(faultUnsure, fmt.Errorf("stored as sequence %d, expected %d", a.Seq, seq))
	case isFull(a.Error):
		p.blame(faultFull, a.Error)
	case a.Error.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		p.blame(faultFatal, a.Error)
	default:
		p.blame(faultUnsure, a.Error)
	}
}

// noAnswer is what the client library makes of a message that nobody listens to, or a broken answer.
func noAnswer(status string) error {
	if status == "503" {
		return nats.ErrNoResponders
	}
	return fmt.Errorf("%w from the log: status %q", errUnanswered, status)
}

// blame keeps the first fault of a generation: the others follow from it.
func (p *Publisher) blame(kind faultKind, err error) {
	if p.fault.kind == faultNone {
		p.fault = fault{kind: kind, err: err}
	}
}

func parseReply(s string) (generation, seq uint64, ok bool) {
	g, q, found := strings.Cut(s, ".")
	generation, err1 := strconv.ParseUint(g, 10, 64)
	seq, err2 := strconv.ParseUint(q, 10, 64)
	return generation, seq, found && err1 == nil && err2 == nil
}
