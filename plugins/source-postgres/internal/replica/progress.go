package replica

import (
	"encoding/binary"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// progress knows what was handed out and what of it was confirmed, from the frames themselves and not from the caller's word: so it can
// refuse positions that would lose changes. It looks at no more of a message than its kind and its commit's end.
//
// Transactions that are streamed before they commit don't stand in the way of a position: the server sends again whole what
// commits behind it.
type progress struct {
	whole     pgoutput.LSN // transactions that end up to here have been handed out whole
	owed      pgoutput.LSN // the end of the last of them with rows
	confirmed pgoutput.LSN // zero until the caller names a position
	end       pgoutput.LSN // of the server's log, as far as it has said

	open  bool            // inside of a transaction
	rows  bool            // it has some
	block bool            // inside of a stream block
	xid   uint32          // whose
	kept  map[uint32]bool // streamed transactions, and whether they have rows
}

// data takes note of a message. One that is too short is not one, and changes nothing here.
func (p *progress) data(m []byte) {
	if len(m) == 0 {
		return
	}
	switch m[0] {
	case 'B':
		p.open, p.rows = true, false
	case 'C':
		if end, ok := lsnAt(m, 10); ok {
			p.committed(end, p.rows)
			p.open = false
		}
	case 'I', 'U', 'D', 'T':
		if p.block {
			p.kept[p.xid] = true
		}
		p.rows = p.rows || !p.block
	case 'S':
		p.xid, p.block = xidAt(m, 1), true
	case 'E':
		p.block = false
	case 'c':
		if end, ok := lsnAt(m, 14); ok {
			xid := xidAt(m, 1)
			p.committed(end, p.kept[xid])
			delete(p.kept, xid)
		}
	case 'A':
		if xid := xidAt(m, 1); xid == xidAt(m, 5) {
			delete(p.kept, xid)
		}
	}
}

func lsnAt(m []byte, offset int) (pgoutput.LSN, bool) {
	if len(m) < offset+8 {
		return 0, false
	}
	return pgoutput.LSN(binary.BigEndian.Uint64(m[offset:])), true
}

func xidAt(m []byte, offset int) uint32 {
	if len(m) < offset+4 {
		return 0
	}
	return binary.BigEndian.Uint32(m[offset:])
}

func (p *progress) committed(end pgoutput.LSN, rows bool) {
	p.whole = max(p.whole, end)
	if rows {
		p.owed = max(p.owed, end)
	}
}

// keepalive takes note of how far the server has read its log. Inside of a transaction that says nothing about what was handed out.
func (p *progress) keepalive(end pgoutput.LSN) {
	p.end = max(p.end, end)
	if !p.open && !p.block {
		p.whole = max(p.whole, end)
	}
}

// confirm moves the confirmed position, never back. It says whether it moved.
func (p *progress) confirm(lsn pgoutput.LSN) (bool, error) {
	if lsn > p.whole {
		e := fault(NotReceived, "", "position %s can't be confirmed: the stream was handed out up to %s", lsn, p.whole)
		e.At = p.whole
		return false, e
	}
	moved := lsn > p.confirmed
	p.confirmed = max(p.confirmed, lsn)
	return moved, nil
}

func (p *progress) idle(lsn pgoutput.LSN) (bool, error) {
	if p.open || p.owed > p.confirmed {
		e := fault(InFlight, "", "position %s is not quiet: changes up to %s were handed out, and %s is confirmed (in a transaction: %t)",
			lsn, p.owed, p.confirmed, p.open)
		e.At = p.owed
		return false, e
	}
	return p.confirm(lsn)
}
