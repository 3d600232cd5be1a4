// Package pgoutput reads what PostgreSQL's output plugin of that name says about transactions. A Decoder takes single messages of
// protocol versions 1 and 2 apart; an Assembler makes whole transactions of them, in the order in which they committed, and keeps
// transactions that arrive before they commit aside until they do.
//
// The messages are described in PostgreSQL's documentation, "Logical Replication Message Formats". Where they come from, and how the
// server learns how far its client has come, is package replica's matter.
package pgoutput

import "time"

// Message is one of the pointers that Decode returns.
type Message interface{ message() }

// Begin starts a transaction that has committed. Only its messages follow until its Commit.
type Begin struct {
	Final     LSN // the commit's, as in Commit.LSN
	Committed time.Time
	XID       uint32
}

// Commit ends a transaction.
type Commit struct {
	LSN       LSN // where the commit record stands
	End       LSN // where it ends: whoever has this transaction goes on from there
	Committed time.Time
}

// Origin says that the transaction was replicated to this server from another.
type Origin struct {
	LSN  LSN // the commit's on that server
	Name string
}

// Relation is a table as the tuples that follow have it. Unlike other messages it owns its memory and never changes.
type Relation struct {
	XID      uint32 // in a stream block
	ID       uint32 // the table's OID
	Schema   string // empty for pg_catalog
	Name     string
	Identity Identity
	Columns  []RelationColumn
}

// RelationColumn is a column of a Relation.
type RelationColumn struct {
	Key      bool // part of the replica identity
	Name     string
	Type     uint32 // OID
	Modifier int32  // atttypmod; -1 for none
}

// Identity is what of an old row the server tells about: pg_class.relreplident.
type Identity byte

// The identities.
const (
	IdentityDefault Identity = 'd' // the primary key
	IdentityNothing Identity = 'n'
	IdentityFull    Identity = 'f' // all columns
	IdentityIndex   Identity = 'i' // a unique index's columns
)

// Type names a type that is not built in. Unlike other messages it owns its memory.
type Type struct {
	XID    uint32 // in a stream block
	ID     uint32
	Schema string
	Name   string
}

// Insert is a new row.
type Insert struct {
	XID      uint32 // in a stream block: of the subtransaction
	Relation uint32
	New      []Column
}

// Update is a changed row.
type Update struct {
	XID      uint32
	Relation uint32
	Sent     Sent
	Old      []Column // nil if Sent is SentNothing
	New      []Column
}

// Delete is a row that is gone.
type Delete struct {
	XID      uint32
	Relation uint32
	Sent     Sent // never SentNothing
	Old      []Column
}

// Sent is what of an old row was sent.
type Sent byte

// What may be sent. A key has all columns of the relation; those outside the identity are null.
const (
	SentNothing Sent = 0
	SentKey     Sent = 'K'
	SentRow     Sent = 'O'
)

// Truncate is one statement that empties tables.
type Truncate struct {
	XID             uint32
	Relations       []uint32
	Cascade         bool
	RestartIdentity bool
}

// Text is what somebody wrote into the log with pg_logical_emit_message. One that is not transactional stands between
// transactions, and may have been written by one that was rolled back.
type Text struct {
	XID           uint32
	Transactional bool
	LSN           LSN
	Prefix        string
	Content       []byte
}

// StreamStart opens a block of messages of a transaction that has not committed yet; protocol version 2.
type StreamStart struct {
	XID   uint32 // of the top transaction
	First bool   // the transaction's first block
}

// StreamStop closes the block.
type StreamStop struct{}

// StreamCommit says that a transaction that was sent in blocks has committed.
type StreamCommit struct {
	XID       uint32
	LSN       LSN
	End       LSN
	Committed time.Time
}

// StreamAbort takes a streamed transaction back, or one of its subtransactions.
type StreamAbort struct {
	XID uint32 // of the top transaction
	Sub uint32 // equal to XID if all of it is taken back
}

// Column is a value in a tuple.
type Column struct {
	Kind Kind
	Data []byte // for KindText and KindBinary
}

// Kind is how a value was sent.
type Kind byte

// The kinds.
const (
	KindNull      Kind = 'n'
	KindUnchanged Kind = 'u' // stored out of line (TOAST) and not changed: not sent
	KindText      Kind = 't'
	KindBinary    Kind = 'b'
)

func (*Begin) message()        {}
func (*Commit) message()       {}
func (*Origin) message()       {}
func (*Relation) message()     {}
func (*Type) message()         {}
func (*Insert) message()       {}
func (*Update) message()       {}
func (*Delete) message()       {}
func (*Truncate) message()     {}
func (*Text) message()         {}
func (*StreamStart) message()  {}
func (*StreamStop) message()   {}
func (*StreamCommit) message() {}
func (*StreamAbort) message()  {}
