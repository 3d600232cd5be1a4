package zone

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Keys of a snapshot's summary. headPrefix + flow is carried on by every snapshot.
const (
	keyFlow    = "qanat.flow"
	keyEpoch   = "qanat.epoch"
	keySeq     = "qanat.seq"
	keyKind    = "qanat.kind"
	headPrefix = "qanat.head."
)

// Kinds of snapshots that are not a unit's.
const (
	KindFence  = "fence"
	KindUndo   = "undo"
	KindReplay = "replay" // units before its mark were made again
	KindUpkeep = "upkeep" // the same rows in other files
)

// Mark is how far a flow has come in a dataset: its last unit, and the epoch of the
// runner that owns the flow.
type Mark struct {
	Flow  string
	Epoch uint64
	Seq   int64
}

func (m Mark) sameUnit(other Mark) bool { return m.Flow == other.Flow && m.Seq == other.Seq }

// Snapshot is one state of a dataset. The zero Snapshot is the empty dataset.
type Snapshot struct {
	ID     int64
	Parent int64 // 0: none
	Time   time.Time
	Kind   string // empty for a unit, or KindFence, KindUndo, KindReplay, KindUpkeep
	Mark   Mark   // of the unit, fence, undo or replay; Flow is empty for upkeep and foreign writers
	// Rows of the whole dataset. While there are Keys, each of them hides at most one row of these; without, the number is exact.
	Rows  int64
	Added int64 // of the rows, those in files that it added
	Keys  int64 // of upserts, which upkeep has not applied to the files yet

	marks map[string]Mark
}

// Marks are the marks of all flows that ever wrote the dataset.
func (s Snapshot) Marks() map[string]Mark { return maps.Clone(s.marks) }

func snapshotOf(s *table.Snapshot) (Snapshot, error) {
	if s == nil {
		return Snapshot{marks: map[string]Mark{}}, nil
	}
	out := Snapshot{ID: s.SnapshotID, Time: time.UnixMilli(s.TimestampMs), marks: map[string]Mark{}}
	if s.ParentSnapshotID != nil {
		out.Parent = *s.ParentSnapshotID
	}
	if s.Summary == nil {
		return out, nil
	}
	p := s.Summary.Properties
	out.Kind = p[keyKind]
	var err error
	var hidden int64 // by deletion vectors
	for key, n := range map[string]*int64{
		"total-records": &out.Rows, "added-records": &out.Added, "total-position-deletes": &hidden, "total-equality-deletes": &out.Keys,
	} {
		if *n, err = parseRows(p[key]); err != nil {
			return out, fmt.Errorf("snapshot %d: %w", s.SnapshotID, err)
		}
	}
	out.Rows -= hidden
	if flow := p[keyFlow]; flow != "" {
		if out.Mark, err = parseMark(flow, p[keyEpoch]+"/"+p[keySeq]); err != nil {
			return out, fmt.Errorf("snapshot %d: %w", s.SnapshotID, err)
		}
	}
	for key, value := range p {
		flow, ok := strings.CutPrefix(key, headPrefix)
		if !ok {
			continue
		}
		if out.marks[flow], err = parseMark(flow, value); err != nil {
			return out, fmt.Errorf("snapshot %d: %w", s.SnapshotID, err)
		}
	}
	return out, nil
}

func parseRows(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.ParseInt(s, 10, 64)
}

func parseMark(flow, value string) (Mark, error) {
	epoch, seq, _ := strings.Cut(value, "/")
	e, err := strconv.ParseUint(epoch, 10, 64)
	if err != nil {
		return Mark{}, fmt.Errorf("mark of flow %q: epoch %q: %w", flow, epoch, err)
	}
	n, err := strconv.ParseInt(seq, 10, 64)
	if err != nil {
		return Mark{}, fmt.Errorf("mark of flow %q: seq %q: %w", flow, seq, err)
	}
	return Mark{Flow: flow, Epoch: e, Seq: n}, nil
}

// summary is what a snapshot after head says: its own mark, and all marks.
func summary(head Snapshot, kind string, m Mark) iceberg.Properties {
	p := carried(head, kind)
	p[keyFlow] = m.Flow
	p[keyEpoch] = strconv.FormatUint(m.Epoch, 10)
	p[keySeq] = strconv.FormatInt(m.Seq, 10)
	p[headPrefix+m.Flow] = fmt.Sprintf("%d/%d", m.Epoch, m.Seq)
	return p
}

// carried is what a snapshot after head says of others: all marks.
func carried(head Snapshot, kind string) iceberg.Properties {
	p := iceberg.Properties{}
	if kind != "" {
		p[keyKind] = kind
	}
	for flow, other := range head.marks {
		p[headPrefix+flow] = fmt.Sprintf("%d/%d", other.Epoch, other.Seq)
	}
	return p
}
