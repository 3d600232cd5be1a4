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
	confirmed pgoutput.LSN // zero until the caller names a position
	end       pgoutput.LSN // of the server's log, as far as it has said

	open  bool // inside of a transaction
	block bool // inside of a stream block
}

// data takes note of a message. One that is too short is not one, and changes nothing here.
func (p *progress) data(m []byte) {
	if len(m) == 0 {
		return
	}
	switch m[0] {
	case 'B':
		p.open = true
	case 'C':
		if p.committed(m, 10) {
			p.open = false
		}
	case 'S':
		p.block = true
	case 'E':
		p.block = false
	case 'c':
		p.committed(m, 14)
	}
}

// committed takes note of a transaction's end, which stands at an offset of the message, and says whether it is there.
func (p *progress) committed(m []byte, offset int) bool {
	if len(m) < offset+8 {
		return false
	}
	p.whole = max(p.whole, pgoutput.LSN(binary.BigEndian.Uint64(m[offset:])))
	return true
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
