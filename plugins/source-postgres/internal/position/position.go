// Package position is what the source remembers between reads, as the runtime keeps it with each unit.
package position

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/sdk"
)

const format = 1

// Modes of a read.
const (
	Full        = "full"
	Incremental = "incremental"
	CDC         = "cdc"
)

// Phases of change data capture.
const (
	Snapshot = "snapshot" // not all tables have been read
	Streamed = "stream"
)

// Position is where a read goes on.
type Position struct {
	Format   int    `json:"v"`
	Mode     string `json:"mode"`
	Database string `json:"database"`
	replica.Identity

	Phase string `json:"phase,omitempty"`
	Slot  string `json:"slot,omitempty"`
	// LSN is that of the snapshot, in modes full and incremental; in mode cdc the end of the last whole transaction that was emitted, where
	// streaming restarts.
	LSN pgoutput.LSN `json:"lsn"`
	// Restart is the oldest log that the slot held.
	Restart pgoutput.LSN      `json:"restart,omitzero"`
	Tables  map[string]*Table `json:"tables"` // by stream
}

// Table is how far one is.
type Table struct {
	OID   uint32   `json:"oid"`
	Print string   `json:"print"` // fingerprint of its columns
	Done  bool     `json:"done,omitempty"`
	Key   []string `json:"key,omitempty"`   // columns that After is of
	After []string `json:"after,omitempty"` // the key of the last row that was read
	Block int64    `json:"block,omitempty"` // the first page that was not read, of a table that is read by pages

	Cursor *Cursor `json:"cursor,omitempty"`
}

// Begun says that a part of the table has been read.
func (t *Table) Begun() bool { return len(t.After) > 0 || t.Block > 0 }

// Cursor is how far a table is in mode incremental.
type Cursor struct {
	Column string `json:"column"`
	Last   int64  `json:"last"` // the greatest value, as a number
	// Seen are hashes of the rows that were emitted and may be met again: those at Last and in the look-back window before it. Floor is the
	// least value that they are complete from.
	Seen  []Row `json:"seen,omitempty"`
	Floor int64 `json:"floor"`
}

// Row is one that was emitted.
type Row struct {
	At   int64
	Hash uint64
}

// MarshalJSON keeps a row short.
func (r Row) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `[%d,"%x"]`, r.At, r.Hash), nil }

// UnmarshalJSON reads it.
func (r *Row) UnmarshalJSON(b []byte) error {
	_, err := fmt.Sscanf(string(b), `[%d,"%x"]`, &r.At, &r.Hash)
	return err
}

// New is the position before a read.
func New(mode, database string, identity replica.Identity) *Position {
	return &Position{Format: format, Mode: mode, Database: database, Identity: identity, Tables: map[string]*Table{}}
}

// Decode reads a position; nil if there is none.
func Decode(raw sdk.Position, mode string) (*Position, error) {
	if len(raw) == 0 {
		return nil, nil //nolint:nilnil // no position is no fault
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var p Position
	if err := decoder.Decode(&p); err != nil {
		return nil, fmt.Errorf("the position is none of this source: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the position is none of this source: something follows it")
	}
	switch {
	case p.Format != format:
		return nil, fmt.Errorf("the position is of format %d, expected %d", p.Format, format)
	case p.Mode != mode:
		return nil, fmt.Errorf("the position is of mode %q, and the settings say %q: a pipeline keeps its mode; read again from the beginning to change it", p.Mode, mode)
	case mode == CDC && (p.Slot == "" || p.LSN == 0 || p.Phase != Snapshot && p.Phase != Streamed):
		return nil, fmt.Errorf("the position has phase %q, slot %q and LSN %s, which can't be", p.Phase, p.Slot, p.LSN)
	}
	for name, t := range p.Tables {
		if t == nil || t.OID == 0 || t.Block < 0 {
			return nil, fmt.Errorf("the position has nothing that could be about stream %q", name)
		}
		if len(t.Key) != len(t.After) {
			return nil, fmt.Errorf("the position of stream %q has %d values for a key of %d columns", name, len(t.After), len(t.Key))
		}
	}
	if p.Tables == nil {
		p.Tables = map[string]*Table{}
	}
	return &p, nil
}

// Encode is the position for a checkpoint.
func (p *Position) Encode() (sdk.Position, error) { return json.Marshal(p) }

// Clone is a copy that may be changed.
func (p *Position) Clone() *Position {
	out := *p
	out.Tables = maps.Clone(p.Tables)
	for name, t := range out.Tables {
		one := *t
		one.After = slices.Clone(t.After)
		out.Tables[name] = &one
	}
	return &out
}
