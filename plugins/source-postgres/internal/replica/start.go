package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// Settings are a stream's.
type Settings struct {
	Slot         string
	Publications []string
	// From is where to go on: the end of the last transaction that is safe, or a place behind it without changes before. It must not
	// be behind the slot's confirmed position, because the server skips without a word what was confirmed. Zero takes up
	// what the slot has, whoever confirmed it: right for a slot that is new.
	From pgoutput.LSN
	// Expect is the cluster that the position is of; what is zero in it is not checked.
	Expect Identity
	// StatusEvery is how often the server is told how far its client is, when nothing else makes it; 10 s if zero, and at most a third of
	// the server's wal_sender_timeout.
	StatusEvery time.Duration
	// DeadAfter is how long the server may be silent although it is asked; 60 s if zero.
	DeadAfter time.Duration
}

// Start turns the connection into a stream, which owns it from then on. Before, it looks at everything that would make the server
// skip changes or fail later. If it fails the connection still takes commands, unless that is what failed.
func (c *Conn) Start(ctx context.Context, s Settings) (*Stream, error) {
	if err := c.ReleaseSnapshot(ctx); err != nil {
		return nil, err
	}
	slot, err := c.check(ctx, s)
	if err != nil {
		return nil, err
	}
	doing := fmt.Sprintf("start streaming from replication slot %q", s.Slot)
	if err := c.begin(ctx, c.startSQL(s)); err != nil {
		return nil, inUse(ctx, c, judge(ctx, err, s.Slot, doing))
	}
	raw, err := c.conn.PgConn().Hijack()
	if err != nil {
		return nil, judge(ctx, err, s.Slot, doing)
	}
	if s.From == 0 {
		s.From = slot.ConfirmedFlush
	}
	return newStream(raw, s, c.statusEvery(s.StatusEvery)), nil
}

func (c *Conn) statusEvery(every time.Duration) time.Duration {
	if every <= 0 {
		every = 10 * time.Second
	}
	if c.silence > 0 {
		every = min(every, c.silence/3)
	}
	return every
}

func (c *Conn) check(ctx context.Context, s Settings) (Slot, error) {
	system, err := c.IdentifySystem(ctx)
	if err != nil {
		return Slot{}, err
	}
	if want := s.Expect.SystemID; want != "" && want != system.SystemID {
		return Slot{}, fault(OtherSystem, s.Slot, "the server's system identifier is %s, and the position is of %s: it is another database cluster", system.SystemID, want)
	}
	if want := s.Expect.Timeline; want != 0 && want != system.Timeline {
		return Slot{}, fault(OtherTimeline, s.Slot, "the server is on timeline %d, and the position is of %d: it was promoted or restored", system.Timeline, want)
	}
	if err := checkLevel(ctx, c); err != nil {
		return Slot{}, err
	}
	slot, err := LookUpSlot(ctx, c, s.Slot)
	if err != nil {
		return Slot{}, err
	}
	if err := slot.serves(system.Database, s.From); err != nil {
		return Slot{}, err
	}
	return slot, checkPublications(ctx, c, s.Publications)
}

// serves says whether a stream can go on from the position.
func (s Slot) serves(database string, from pgoutput.LSN) error {
	switch {
	case s.Plugin != plugin || s.Database != database:
		return fault(SlotForeign, s.Name, "replication slot %q is of plugin %q in database %q, want %q in %q", s.Name, s.Plugin, s.Database, plugin, database)
	case s.Invalidated():
		return Lost(s.Name)
	case s.ActivePID != 0:
		e := fault(SlotInUse, s.Name, "replication slot %q is in use by server process %d", s.Name, s.ActivePID)
		e.PID = s.ActivePID
		return e
	case from != 0 && from < s.ConfirmedFlush:
		e := fault(PositionGone, s.Name, "the position is %s, and replication slot %q has been confirmed up to %s: what committed between them is not sent again",
			from, s.Name, s.ConfirmedFlush)
		e.At = s.ConfirmedFlush
		return e
	case from > s.Current:
		e := fault(PositionGone, s.Name, "the position is %s, and the server's log ends at %s: the server is older than the position", from, s.Current)
		e.At = s.Current
		return e
	}
	return nil
}

// Lost is the fault of a slot that is invalidated.
func Lost(slot string) *Error {
	return fault(SlotLost, slot, "replication slot %q is lost: the server removed log that it needs (max_slot_wal_keep_size); changes are missing", slot)
}

func checkPublications(ctx context.Context, q Querier, names []string) error {
	if len(names) == 0 {
		return errors.New("a stream needs a publication")
	}
	rows, err := q.Query(ctx, "select pubname::text from pg_publication")
	if err != nil {
		return judge(ctx, err, "", "look up publications")
	}
	have, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return judge(ctx, err, "", "look up publications")
	}
	for _, name := range names {
		if !slices.Contains(have, name) {
			return fault(PublicationMissing, "", "there is no publication %q in this database", name)
		}
	}
	return nil
}

func (c *Conn) startSQL(s Settings) string {
	var publications []string
	for _, name := range s.Publications {
		publications = append(publications, pgx.Identifier{name}.Sanitize())
	}
	options := []string{"publication_names " + literal(strings.Join(publications, ","))}
	if c.version >= versionOfStreaming {
		options = append(options, "proto_version '2'", "messages 'true'", "streaming 'on'")
	} else {
		options = append(options, "proto_version '1'")
	}
	return fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (%s)", pgx.Identifier{s.Slot}.Sanitize(), s.From, strings.Join(options, ", "))
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// begin sends the command and waits until both sides copy. The server's refusal leaves the connection in order.
func (c *Conn) begin(ctx context.Context, sql string) error {
	conn := c.conn.PgConn()
	conn.Frontend().SendQuery(&pgproto3.Query{String: sql})
	if err := conn.Frontend().Flush(); err != nil {
		return err
	}
	var refusal error
	for {
		m, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.CopyBothResponse:
			return nil
		case *pgproto3.ErrorResponse:
			refusal = pgconn.ErrorResponseToPgError(m)
			if m.Severity == "FATAL" || m.SeverityUnlocalized == "FATAL" {
				return refusal
			}
		case *pgproto3.ReadyForQuery:
			if refusal == nil {
				refusal = errors.New("the server began no stream, and gave no reason")
			}
			return refusal
		}
	}
}
