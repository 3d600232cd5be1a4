package pgoutput

import (
	"context"
	"errors"
	"fmt"
)

// Settings are an Assembler's.
type Settings struct {
	// Folder is for the files of transactions that are kept aside. It is the assembler's alone: files that another left are removed.
	Folder string
	// Memory is how many bytes of such transactions stay in memory, all of them together; 16 MiB if zero. A transaction that was
	// spilled takes 64 KiB at most; a single message is in memory whatever its size.
	Memory int
}

const defaultMemory = 16 << 20

// Assembler turns the messages of one replication stream into whole transactions. Transactions that the server sends after their
// commit are passed on as they come. Those that it streams before (protocol version 2) are kept aside, and passed on when they have
// committed, without the subtransactions that were rolled back; if all is rolled back, nobody hears of them.
//
// A stream that is started again needs a new assembler: the server tells again about relations and about transactions that are open. It
// is not for concurrent use.
type Assembler struct {
	decoder  Decoder
	delivery delivery
	shelf    *shelf

	known    map[uint32]announced // relations outside of streamed transactions, by OID
	arrivals uint64
	block    *streamed // of the open stream block
	err      error
}

// NewAssembler cleans the folder. Close it to remove files of transactions that are still open.
func NewAssembler(s Settings, to Consumer) (*Assembler, error) {
	if s.Folder == "" {
		return nil, errors.New("an assembler needs a folder")
	}
	if s.Memory == 0 {
		s.Memory = defaultMemory
	}
	shelf, err := openShelf(s.Folder, s.Memory)
	if err != nil {
		return nil, err
	}
	return &Assembler{
		shelf: shelf, known: map[uint32]announced{}, delivery: delivery{to: to, shown: map[uint32]*Relation{}},
	}, nil
}

// Push takes the stream's next message, and calls the consumer with what is complete. After an error, be it of a file, of the
// consumer or of the context, the assembler is of no more use, and returns the same error: what was not delivered whole comes again
// when the stream is started again.
func (a *Assembler) Push(ctx context.Context, message []byte) error {
	if a.err == nil {
		a.err = a.push(ctx, message)
	}
	return a.err
}

func (a *Assembler) push(ctx context.Context, message []byte) error {
	m, err := a.decoder.Decode(message)
	if err != nil {
		return err
	}
	a.arrivals++
	if a.block != nil {
		return a.inside(m, message)
	}
	if a.delivery.open {
		return a.live(ctx, m)
	}
	return a.between(ctx, m)
}

// InTransaction says that the consumer has been given a part of a transaction, or will be with the next message.
func (a *Assembler) InTransaction() bool { return a.delivery.open || a.block != nil }

// Kept is what lies aside.
type Kept struct {
	Transactions int
	Memory       int64 // bytes
	Files        int64 // bytes
}

// Kept counts transactions that have not committed.
func (a *Assembler) Kept() Kept {
	k := Kept{Transactions: len(a.shelf.streams), Memory: int64(a.shelf.held)}
	for _, s := range a.shelf.streams {
		k.Files += s.filed
	}
	return k
}

// Close removes the files.
func (a *Assembler) Close() error {
	if a.err == nil {
		a.err = errors.New("the assembler is closed")
	}
	return a.shelf.close()
}

// live is a message of a transaction that has committed.
func (a *Assembler) live(ctx context.Context, m Message) error {
	switch m := m.(type) {
	case *Relation:
		a.known[m.ID] = announced{a.delivery.canonical(m), a.arrivals}
		return nil
	case *Origin:
		if !a.delivery.begun {
			a.delivery.tx.Origin = m.Name
		}
		return nil
	case *Commit:
		if tx := a.delivery.tx; m.LSN != tx.LSN {
			return fmt.Errorf("%w: transaction %d began with commit LSN %s and ends with %s", ErrMalformed, tx.XID, tx.LSN, m.LSN)
		}
		return a.delivery.commit(ctx, m.End)
	default:
		return a.delivery.apply(ctx, m, a.known)
	}
}

// between is a message outside of transactions.
func (a *Assembler) between(ctx context.Context, m Message) error {
	switch m := m.(type) {
	case *Begin:
		a.delivery.begin(Transaction{XID: m.XID, LSN: m.Final, Committed: m.Committed})
		return nil
	case *Text:
		if !m.Transactional {
			return a.delivery.to.Text(ctx, m)
		}
	case *StreamStart:
		return a.openBlock(m)
	case *StreamCommit:
		return a.replay(ctx, m)
	case *StreamAbort:
		return a.takeBack(m)
	}
	return fmt.Errorf("%w: %T outside of a transaction", ErrMalformed, m)
}

func (a *Assembler) openBlock(m *StreamStart) error {
	s := a.shelf.streams[m.XID]
	if m.First != (s == nil) {
		return fmt.Errorf("%w: a block of transaction %d, the first: %t, and it was known: %t", ErrMalformed, m.XID, m.First, s != nil)
	}
	if s == nil {
		s = a.shelf.add(m.XID)
	}
	a.block = s
	return nil
}

// inside keeps a message of the open block.
func (a *Assembler) inside(m Message, raw []byte) error {
	switch m := m.(type) {
	case *StreamStop:
		a.block = nil
		return nil
	case *Origin:
		a.block.origin = m.Name
		return nil
	case *Relation, *Type, *Insert, *Update, *Delete, *Truncate, *Text:
		return a.shelf.keep(a.block, raw, a.arrivals)
	}
	return fmt.Errorf("%w: %T inside a stream block", ErrMalformed, m)
}

// takeBack forgets a transaction, or notes which of its subtransactions don't count. The server may take back what it never sent.
func (a *Assembler) takeBack(m *StreamAbort) error {
	s := a.shelf.streams[m.XID]
	switch {
	case s == nil:
		return nil
	case m.Sub == m.XID:
		return a.shelf.discard(s)
	}
	s.aborted[m.Sub] = struct{}{}
	return nil
}

func (a *Assembler) replay(ctx context.Context, m *StreamCommit) error {
	s := a.shelf.streams[m.XID]
	if s == nil {
		return fmt.Errorf("%w: transaction %d commits, and no block of it came", ErrMalformed, m.XID)
	}
	a.delivery.begin(Transaction{
		XID: m.XID, LSN: m.LSN, End: m.End, Committed: m.Committed, Origin: s.origin, Streamed: true,
	})
	end := m.End
	relations := map[uint32]announced{}
	decoder := Decoder{streaming: true}
	err := s.each(func(raw []byte, arrival uint64) error {
		m, err := decoder.Decode(raw)
		if err != nil {
			return err
		}
		if _, aborted := s.aborted[subtransaction(m)]; aborted {
			return nil
		}
		if r, ok := m.(*Relation); ok {
			relations[r.ID] = announced{a.delivery.canonical(r), arrival}
			return nil
		}
		return a.delivery.apply(ctx, m, relations)
	})
	if err != nil {
		return err
	}
	a.adopt(relations)
	return errors.Join(a.delivery.commit(ctx, end), a.shelf.discard(s))
}

// adopt makes relations of a transaction that has committed known outside of it, for the server won't repeat them. One that was
// announced later outside is newer, though it comes first in commit order.
func (a *Assembler) adopt(relations map[uint32]announced) {
	for id, r := range relations {
		if r.at > a.known[id].at {
			a.known[id] = r
		}
	}
}

func subtransaction(m Message) uint32 {
	switch m := m.(type) {
	case *Relation:
		return m.XID
	case *Type:
		return m.XID
	case *Insert:
		return m.XID
	case *Update:
		return m.XID
	case *Delete:
		return m.XID
	case *Truncate:
		return m.XID
	case *Text:
		return m.XID
	}
	return 0
}
