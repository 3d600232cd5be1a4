package pgoutput

import (
	"errors"
	"fmt"
)

// ErrMalformed is in every error about bytes that are no message of the protocol.
var ErrMalformed = errors.New("malformed pgoutput message")

// Decoder takes messages apart. It copies no values: columns and contents are slices of the input, and the message that Decode
// returns is the decoder's own, valid until the next call (but Relation and Type may be kept). The zero Decoder is ready; it is
// for one stream of messages, because inside stream blocks messages look different, and not for concurrent use.
type Decoder struct {
	streaming bool

	begin    Begin
	commit   Commit
	origin   Origin
	insert   Insert
	update   Update
	delete   Delete
	truncate Truncate
	text     Text
	start    StreamStart
	stop     StreamStop
	end      StreamCommit
	abort    StreamAbort

	fresh, old []Column
}

// Decode takes one message apart. An error leaves the decoder as it was.
func (d *Decoder) Decode(data []byte) (Message, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrMalformed)
	}
	r := reader{rest: data[1:]}
	m, err := d.decode(data[0], &r)
	switch {
	case err != nil:
		return nil, err
	case r.short:
		return nil, fmt.Errorf("%w: %q ends too early, after %d bytes", ErrMalformed, data[0], len(data))
	case len(r.rest) > 0:
		return nil, fmt.Errorf("%w: %q has %d bytes too many of %d", ErrMalformed, data[0], len(r.rest), len(data))
	}
	switch m.(type) {
	case *StreamStart:
		d.streaming = true
	case *StreamStop:
		d.streaming = false
	}
	return m, nil
}

func (d *Decoder) decode(kind byte, r *reader) (Message, error) {
	switch kind {
	case 'I':
		d.insert = Insert{XID: d.xid(r), Relation: r.uint32()}
		err := expect(kind, r, 'N')
		if err == nil {
			d.insert.New, err = tuple(&d.fresh, r)
		}
		return &d.insert, err
	case 'U':
		return d.decodeUpdate(r)
	case 'D':
		return d.decodeDelete(r)
	case 'B':
		d.begin = Begin{Final: r.lsn(), Committed: r.time(), XID: r.uint32()}
		return &d.begin, nil
	case 'C':
		r.byte() // no flags are defined
		d.commit = Commit{LSN: r.lsn(), End: r.lsn(), Committed: r.time()}
		return &d.commit, nil
	case 'R':
		return d.decodeRelation(r)
	case 'Y':
		return &Type{XID: d.xid(r), ID: r.uint32(), Schema: r.text(), Name: r.text()}, nil
	case 'O': // has no XID in stream blocks either
		d.origin = Origin{LSN: r.lsn(), Name: r.text()}
		return &d.origin, nil
	case 'T':
		return d.decodeTruncate(r)
	case 'M':
		return d.decodeText(r)
	default:
		return d.decodeStream(kind, r)
	}
}

func (d *Decoder) decodeStream(kind byte, r *reader) (Message, error) {
	if inside := kind == 'E'; inside != d.streaming {
		return nil, fmt.Errorf("%w: %q, and a stream block is open: %t", ErrMalformed, kind, d.streaming)
	}
	switch kind {
	case 'S':
		d.start = StreamStart{XID: r.uint32(), First: r.byte() == 1}
		return &d.start, nil
	case 'E':
		return &d.stop, nil
	case 'c':
		d.end.XID = r.uint32()
		r.byte() // no flags are defined
		d.end.LSN, d.end.End, d.end.Committed = r.lsn(), r.lsn(), r.time()
		return &d.end, nil
	case 'A':
		d.abort = StreamAbort{XID: r.uint32(), Sub: r.uint32()}
		return &d.abort, nil
	}
	return nil, fmt.Errorf("%w: kind %q is not known in protocol versions 1 and 2", ErrMalformed, kind)
}

// xid is before the rest of most messages in a stream block.
func (d *Decoder) xid(r *reader) uint32 {
	if d.streaming {
		return r.uint32()
	}
	return 0
}

func expect(kind byte, r *reader, want byte) error {
	if got := r.byte(); got != want && !r.short {
		return fmt.Errorf("%w: %q has part %q, want %q", ErrMalformed, kind, got, want)
	}
	return nil
}

func (d *Decoder) decodeUpdate(r *reader) (Message, error) {
	d.update = Update{XID: d.xid(r), Relation: r.uint32()}
	m := &d.update
	part := r.byte()
	if part == byte(SentKey) || part == byte(SentRow) {
		m.Sent = Sent(part)
		var err error
		if m.Old, err = tuple(&d.old, r); err != nil {
			return nil, err
		}
		part = r.byte()
	}
	if part != 'N' && !r.short {
		return nil, fmt.Errorf("%w: 'U' has part %q, want 'K', 'O' or 'N'", ErrMalformed, part)
	}
	var err error
	m.New, err = tuple(&d.fresh, r)
	return m, err
}

func (d *Decoder) decodeDelete(r *reader) (Message, error) {
	d.delete = Delete{XID: d.xid(r), Relation: r.uint32(), Sent: Sent(r.byte())}
	if s := d.delete.Sent; s != SentKey && s != SentRow && !r.short {
		return nil, fmt.Errorf("%w: 'D' has part %q, want 'K' or 'O'", ErrMalformed, byte(s))
	}
	var err error
	d.delete.Old, err = tuple(&d.old, r)
	return &d.delete, err
}

func (d *Decoder) decodeTruncate(r *reader) (Message, error) {
	d.truncate.XID = d.xid(r)
	n := int(r.uint32())
	flags := r.byte()
	d.truncate.Cascade, d.truncate.RestartIdentity = flags&1 != 0, flags&2 != 0
	n = r.count(n, 4)
	d.truncate.Relations = d.truncate.Relations[:0]
	for range n {
		d.truncate.Relations = append(d.truncate.Relations, r.uint32())
	}
	return &d.truncate, nil
}

func (d *Decoder) decodeText(r *reader) (Message, error) {
	d.text = Text{XID: d.xid(r), Transactional: r.byte()&1 != 0, LSN: r.lsn(), Prefix: r.text()}
	d.text.Content = r.take(int(r.uint32()))
	return &d.text, nil
}

func (d *Decoder) decodeRelation(r *reader) (Message, error) {
	m := &Relation{XID: d.xid(r), ID: r.uint32(), Schema: r.text(), Name: r.text(), Identity: Identity(r.byte())}
	n := r.count(int(r.uint16()), 10) // flags, an empty name, type and modifier
	m.Columns = make([]RelationColumn, n)
	for i := range m.Columns {
		m.Columns[i] = RelationColumn{
			Key: r.byte()&1 != 0, Name: r.text(), Type: r.uint32(), Modifier: int32(r.uint32()), //nolint:gosec // two's complement
		}
	}
	return m, nil
}

// tuple reads columns into the space, which grows to what the widest tuple needs.
func tuple(space *[]Column, r *reader) ([]Column, error) {
	n := r.count(int(r.uint16()), 1)
	if *space == nil || cap(*space) < n { // a tuple without columns is not nil
		*space = make([]Column, n)
	}
	columns := (*space)[:n]
	for i := range columns {
		kind := Kind(r.byte())
		switch kind {
		case KindText, KindBinary:
			columns[i] = Column{kind, r.take(int(r.uint32()))}
		case KindNull, KindUnchanged:
			columns[i] = Column{Kind: kind}
		default:
			if !r.short {
				return nil, fmt.Errorf("%w: column %d is of kind %q, want one of 'n', 'u', 't', 'b'", ErrMalformed, i+1, byte(kind))
			}
		}
		if r.short {
			return nil, nil
		}
	}
	return columns, nil
}
