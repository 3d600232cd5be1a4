package pgoutput_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// FuzzDecode holds the decoder to this: what it takes for a message is that message to the last byte, flags without meaning aside.
func FuzzDecode(f *testing.F) {
	for _, stream := range recorded(f, "seeds/*.bin") {
		inside := false
		for _, m := range unpacked(stream) {
			f.Add(m, inside && m[0] != 'E')
			inside = m[0] == 'S' || inside && m[0] != 'E'
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, inside bool) {
		var d pgoutput.Decoder
		if inside {
			if _, err := d.Decode([]byte{'S', 0, 0, 0, 1, 1}); err != nil {
				t.Fatal(err)
			}
		}
		m, err := d.Decode(bytes.Clone(data))
		if err != nil {
			if !errors.Is(err, pgoutput.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		if got := encode(m, inside); !bytes.Equal(got, normal(data, inside)) {
			t.Errorf("%q is decoded as %#v, which is %q", data, m, got)
		}
	})
}

// normal is a message without what the protocol leaves open.
func normal(data []byte, inside bool) []byte {
	out := bytes.Clone(data)
	at := 1
	if inside {
		at = 5
	}
	switch out[0] {
	case 'C':
		out[1] = 0
	case 'c':
		out[5] = 0
	case 'S':
		if out[5] != 1 {
			out[5] = 0
		}
	case 'T':
		out[at+4] &= 3
	case 'M':
		out[at] &= 1
	case 'R':
		names := bytes.SplitN(out[at+4:], []byte{0}, 3)
		columns := names[2][3:]
		for len(columns) > 0 {
			columns[0] &= 1
			columns = columns[1+bytes.IndexByte(columns[1:], 0)+1+8:]
		}
	}
	return out
}

func encode(m pgoutput.Message, inside bool) []byte {
	e := encoder{inside: inside}
	switch m := m.(type) {
	case *pgoutput.Begin:
		e.kind('B').lsn(m.Final).time(m.Committed).uint32(m.XID)
	case *pgoutput.Commit:
		e.kind('C').byte(0).lsn(m.LSN).lsn(m.End).time(m.Committed)
	case *pgoutput.Origin:
		e.kind('O').lsn(m.LSN).text(m.Name)
	case *pgoutput.Type:
		e.kind('Y').xid(m.XID).uint32(m.ID).text(m.Schema).text(m.Name)
	case *pgoutput.Relation:
		e.relation(m)
	case *pgoutput.Insert:
		e.kind('I').xid(m.XID).uint32(m.Relation).byte('N').tuple(m.New)
	case *pgoutput.Update:
		e.kind('U').xid(m.XID).uint32(m.Relation)
		if m.Sent != pgoutput.SentNothing {
			e.byte(byte(m.Sent)).tuple(m.Old)
		}
		e.byte('N').tuple(m.New)
	case *pgoutput.Delete:
		e.kind('D').xid(m.XID).uint32(m.Relation).byte(byte(m.Sent)).tuple(m.Old)
	case *pgoutput.Truncate:
		e.kind('T').xid(m.XID).uint32(uint32(len(m.Relations))).byte(bit(m.Cascade) | bit(m.RestartIdentity)<<1)
		for _, id := range m.Relations {
			e.uint32(id)
		}
	case *pgoutput.Text:
		e.kind('M').xid(m.XID).byte(bit(m.Transactional)).lsn(m.LSN).text(m.Prefix).uint32(uint32(len(m.Content)))
		e.out = append(e.out, m.Content...)
	case *pgoutput.StreamStart:
		e.kind('S').uint32(m.XID).byte(bit(m.First))
	case *pgoutput.StreamStop:
		e.kind('E')
	case *pgoutput.StreamCommit:
		e.kind('c').uint32(m.XID).byte(0).lsn(m.LSN).lsn(m.End).time(m.Committed)
	case *pgoutput.StreamAbort:
		e.kind('A').uint32(m.XID).uint32(m.Sub)
	}
	return e.out
}

type encoder struct {
	out    []byte
	inside bool
}

func (e *encoder) kind(b byte) *encoder { return e.byte(b) }
func (e *encoder) byte(b byte) *encoder { e.out = append(e.out, b); return e }
func (e *encoder) uint32(n uint32) *encoder {
	e.out = binary.BigEndian.AppendUint32(e.out, n)
	return e
}

func (e *encoder) uint64(n uint64) *encoder {
	e.out = binary.BigEndian.AppendUint64(e.out, n)
	return e
}
func (e *encoder) lsn(l pgoutput.LSN) *encoder { return e.uint64(uint64(l)) }
func (e *encoder) time(t time.Time) *encoder {
	return e.uint64(uint64(t.UnixMicro() - time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()))
}
func (e *encoder) text(s string) *encoder { e.out = append(append(e.out, s...), 0); return e }

func (e *encoder) xid(xid uint32) *encoder {
	if e.inside {
		e.uint32(xid)
	}
	return e
}

func (e *encoder) tuple(columns []pgoutput.Column) *encoder {
	e.out = binary.BigEndian.AppendUint16(e.out, uint16(len(columns)))
	for _, c := range columns {
		e.byte(byte(c.Kind))
		if c.Kind == pgoutput.KindText || c.Kind == pgoutput.KindBinary {
			e.uint32(uint32(len(c.Data)))
			e.out = append(e.out, c.Data...)
		}
	}
	return e
}

func (e *encoder) relation(r *pgoutput.Relation) {
	e.kind('R').xid(r.XID).uint32(r.ID).text(r.Schema).text(r.Name).byte(byte(r.Identity))
	e.out = binary.BigEndian.AppendUint16(e.out, uint16(len(r.Columns)))
	for _, c := range r.Columns {
		e.byte(bit(c.Key)).text(c.Name).uint32(c.Type).uint32(uint32(c.Modifier))
	}
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// accountant checks what every consumer may rely on.
type accountant struct {
	t    *testing.T
	open bool
	last int64
	seen map[*pgoutput.Relation]bool
}

func (c *accountant) Begin(context.Context, pgoutput.Transaction) error {
	if c.open {
		c.t.Error("a transaction begins inside of another")
	}
	c.open, c.last = true, 0
	return nil
}

func (c *accountant) Relation(_ context.Context, r *pgoutput.Relation) error {
	c.seen[r] = true
	return nil
}

func (c *accountant) Text(_ context.Context, m *pgoutput.Text) error {
	if m.Transactional && !c.open {
		c.t.Error("a text outside of its transaction")
	}
	return nil
}

func (c *accountant) Change(_ context.Context, m *pgoutput.Change) error {
	if !c.open || m.Ordinal != c.last+1 || !c.seen[m.Relation] {
		c.t.Errorf("change %d behind %d, in a transaction: %t, relation known: %t", m.Ordinal, c.last, c.open, c.seen[m.Relation])
	}
	for _, tuple := range [][]pgoutput.Column{m.Old, m.New} {
		if tuple != nil && len(tuple) != len(m.Relation.Columns) {
			c.t.Error("a tuple that does not fit")
		}
	}
	c.last++
	return nil
}

func (c *accountant) Commit(_ context.Context, tx pgoutput.Transaction) error {
	if !c.open || tx.Changes != c.last {
		c.t.Errorf("a commit of %d changes behind %d, in a transaction: %t", tx.Changes, c.last, c.open)
	}
	c.open = false
	return nil
}

// FuzzAssembler puts streams that are not what a server sends through an assembler: it refuses them or delivers whole transactions, and
// keeps within its memory and the input's size.
func FuzzAssembler(f *testing.F) {
	for _, stream := range recorded(f, "seeds/*.bin") {
		if len(stream) < 32<<10 {
			f.Add(stream)
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		const memory = 512
		folder := t.TempDir()
		a, err := pgoutput.NewAssembler(pgoutput.Settings{Folder: folder, Memory: memory}, &accountant{t: t, seen: map[*pgoutput.Relation]bool{}})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range unpacked(stream) {
			err = a.Push(t.Context(), m)
			if k := a.Kept(); k.Memory > memory || k.Memory+k.Files > int64(4*len(stream)) {
				t.Errorf("%+v is kept of %d bytes", k, len(stream))
			}
			if err != nil {
				break
			}
		}
		if err != nil && !errors.Is(err, pgoutput.ErrMalformed) {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if left := files(t, folder); len(left) > 0 {
			t.Errorf("files are left: %v", left)
		}
	})
}
