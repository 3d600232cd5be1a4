package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/follow"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/snapshot"
	"github.com/qanat-data/qanat/sdk"
)

// cdcRead is a read in mode cdc.
type cdcRead struct {
	source      *Source
	request     sdk.ReadRequest
	out         sdk.Emitter
	slot        string
	publication replica.Publication
	begun       map[string]*arrow.Schema // of streams whose first version this read has emitted
	watch       *follow.Watch            // looks after the slot
	since       time.Time                // when a snapshot that this read has read was made, by the server's clock
}

// readCDC reads the tables that have not been read, and follows what is committed.
func (s *Source) readCDC(ctx context.Context, req sdk.ReadRequest, at *position.Position, out sdk.Emitter) error {
	defer s.acks.End()
	conn, err := s.server.Connect(ctx)
	if err != nil {
		return err
	}
	defer server.Close(ctx, conn)
	r := &cdcRead{source: s, request: req, out: out, slot: s.config.slot(s.server.Database())}
	r.watch = s.watch(r.slot)
	if at != nil && at.Slot != r.slot {
		return sdk.ConfigError("/slot", "the position is of replication slot %q, and the settings say %q: a pipeline keeps its slot", at.Slot, r.slot)
	}
	if err := r.prepare(ctx, conn); err != nil {
		return err
	}
	tables, err := r.find(ctx, conn)
	if err != nil {
		return err
	}
	identity, err := identify(ctx, conn)
	if err != nil {
		return err
	}
	if at, err = r.begin(ctx, conn, at, identity); err != nil || at == nil {
		return err
	}
	if err := errors.Join(s.belongs(at, identity), known(at, tables)); err != nil {
		return err
	}
	server.Close(ctx, conn)
	return r.follow(ctx, at, tables)
}

// prepare makes sure that the publication has the tables.
func (r *cdcRead) prepare(ctx context.Context, conn *pgx.Conn) error {
	if _, err := r.source.Provision(ctx, sdk.ProvisionRequest{Streams: r.request.Streams}); err != nil {
		return err
	}
	var err error
	r.publication, err = replica.ReadPublication(ctx, conn, r.source.config.publication(r.source.server.Database()))
	return err
}

// find looks up the tables of the request, with the columns that are published.
func (r *cdcRead) find(ctx context.Context, conn *pgx.Conn) ([]*table, error) {
	tables, err := r.source.find(ctx, conn)
	if err != nil {
		return nil, err
	}
	if tables, err = selected(tables, r.request.Streams); err != nil {
		return nil, err
	}
	for _, t := range tables {
		r.published(t)
	}
	return tables, nil
}

// published leaves out columns that the publication does not have, and takes up its filter.
func (r *cdcRead) published(t *table) {
	at := slices.IndexFunc(r.publication.Tables, func(p replica.PublishedTable) bool { return p.Schema == t.Schema && p.Name == t.Name })
	if at < 0 {
		return
	}
	p := r.publication.Tables[at]
	t.Filter = p.Filter
	if p.All {
		return
	}
	var fields []arrow.Field
	for _, f := range t.schema.Fields() {
		if slices.Contains(p.Columns, f.Name) {
			fields = append(fields, f)
		}
	}
	t.schema = arrow.NewSchema(fields, nil)
	t.Columns = slices.DeleteFunc(t.Columns, func(c *value.Column) bool { return !slices.Contains(p.Columns, c.Name) })
}

// begin is where to go on: where the position is, or behind a snapshot that it reads. It is nil if the read was stopped there.
func (r *cdcRead) begin(ctx context.Context, conn *pgx.Conn, at *position.Position, identity replica.Identity) (*position.Position, error) {
	if at != nil {
		return at, nil
	}
	at = position.New(position.CDC, r.source.server.Database(), identity)
	at.Slot, at.Phase = r.slot, position.Snapshot
	slot, err := r.madeSlot(ctx, conn)
	switch {
	case replica.KindOf(err) == replica.SlotMissing && r.source.config.create():
		return r.snapshot(ctx, at)
	case replica.KindOf(err) == replica.SlotMissing:
		return nil, sdk.Fatal(fmt.Errorf("%w, and create is false: make it with select pg_create_logical_replication_slot('%s', 'pgoutput')", err, r.slot))
	case err != nil:
		return nil, err
	}
	r.source.env.Log.Info("the slot is there already: tables are read while its stream goes on", "slot", r.slot, "from", slot.ConfirmedFlush)
	at.LSN, at.Restart = slot.ConfirmedFlush, slot.RestartLSN
	return at, nil
}

// madeSlot looks the slot up. If another process is still making it, one that was killed perhaps, it waits a little.
func (r *cdcRead) madeSlot(ctx context.Context, conn *pgx.Conn) (replica.Slot, error) {
	pace := r.source.pace
	for begun := time.Now(); ; {
		slot, err := replica.LookUpSlot(ctx, conn, r.slot)
		if err != nil || slot.ConfirmedFlush > 0 {
			return slot, err
		}
		if time.Since(begun) > pace.Slot {
			return slot, sdk.Retryable(fmt.Errorf("replication slot %q is still being made by server process %d, which waits for transactions that are open", r.slot, slot.ActivePID), 0)
		}
		if err := pause(ctx, r.request.Stop, pace.FirstPause); err != nil {
			return slot, err
		}
	}
}

// pause waits, but not longer than until Stop.
func pause(ctx context.Context, stop <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-stop:
	case <-timer.C:
	}
	return nil
}

// snapshot makes the slot and reads the tables as they were at its beginning.
func (r *cdcRead) snapshot(ctx context.Context, at *position.Position) (*position.Position, error) {
	s := r.source
	conn, err := replica.Connect(ctx, s.server.Replication())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it has nothing more to say
	s.env.Log.Info("making the replication slot; this waits for transactions that are open", "slot", r.slot)
	created, err := conn.CreateSlotWithSnapshot(ctx, r.slot)
	if err != nil {
		return nil, err
	}
	at.LSN = created.Consistent
	err = r.watch.Beside(ctx, func(ctx context.Context) error {
		at, err = r.tables(ctx, at, created.Snapshot)
		return err
	})
	return at, err
}

// watch is for a slot, which keeps log from the moment when it is made.
func (s *Source) watch(slot string) *follow.Watch {
	w := &follow.Watch{Server: s.server, Log: s.env.Log, Slot: slot, Every: s.pace.Look}
	if l := s.config.WALLimit; l != nil {
		w.Limit = follow.Limit{Bytes: int64(l.Bytes), Drop: l.Then == dropSlot}
	}
	return w
}

// tables reads the tables in an exported snapshot, and says where the stream begins; nil if the read was stopped.
func (r *cdcRead) tables(ctx context.Context, at *position.Position, exported string) (*position.Position, error) {
	s := r.source
	session, err := snapshot.Open(ctx, s.server, max(1, s.config.Connections), exported)
	if err != nil {
		return nil, err
	}
	defer session.Close(ctx)
	tables, err := r.find(ctx, session.Asks)
	if err != nil {
		return nil, err
	}
	rewritten, err := locked(ctx, session, tables)
	if err != nil {
		return nil, err
	}
	tables = slices.DeleteFunc(tables, func(t *table) bool { return slices.Contains(rewritten, &t.Table) })
	for _, t := range rewritten {
		s.env.Log.Info("a table was truncated or rewritten just when the slot was made: it is read beside the stream", "table", t.String())
	}
	read := s.newTables(r.request, r.out, at, tables)
	r.since = r.watch.State().Now
	read.lag = func() (string, *sdk.Lag) {
		lag := r.watch.State().Lag(at.LSN, r.since)
		return "; " + r.watch.Say(lag), lag
	}
	shapes := map[*table]*follow.Shape{}
	r.begun = map[string]*arrow.Schema{}
	for _, t := range tables {
		shapes[t] = follow.NewShape(t.schema, t.names, at.LSN)
		r.begun[t.Stream] = t.schema
	}
	read.shape = func(t *table, rows arrow.RecordBatch) arrow.RecordBatch { return shapes[t].Rows(s.env.Alloc, rows) }
	if err := read.read(ctx, session); err != nil {
		return nil, err
	}
	if read.stopping() {
		return nil, read.checkpoint(ctx)
	}
	if len(rewritten) == 0 {
		read.position.Phase = position.Streamed
	}
	return read.position, read.checkpoint(ctx)
}

// follow streams from a position on.
func (r *cdcRead) follow(ctx context.Context, at *position.Position, tables []*table) error {
	s := r.source
	for stream := range at.Tables {
		if !slices.ContainsFunc(tables, func(t *table) bool { return t.Stream == stream }) {
			s.env.Log.Warn("a table is no longer read; what is missed of it meanwhile is not read later", "stream", stream)
			delete(at.Tables, stream)
		}
	}
	settings := follow.Settings{
		Server: s.server, Log: s.env.Log, Alloc: s.env.Alloc, Scratch: s.env.Scratch, Out: r.out, Stop: r.request.Stop, Follow: r.request.Follow,
		Publication: r.publication.Name, Options: s.config.options(), ChunkRows: s.config.chunkRows(), Heartbeat: time.Duration(s.config.Heartbeat),
		Position: at, Tables: r.followed(tables), Acks: &s.acks, Watch: r.watch, Since: r.since, Pace: s.pace,
		Find: func(ctx context.Context, conn *pgx.Conn) ([]follow.Table, error) {
			again, err := r.find(ctx, conn)
			return r.followed(again), err
		},
	}
	return settings.Watch.Beside(ctx, func(ctx context.Context) error { return follow.Run(ctx, settings) })
}

func (r *cdcRead) followed(tables []*table) []follow.Table {
	out := make([]follow.Table, len(tables))
	for i, t := range tables {
		out[i] = follow.Table{Table: &t.Table, Schema: t.schema, Names: t.names, Origin: r.source.origin(t), Wanted: t.settings.Columns, Begun: r.begun[t.Stream]}
	}
	return out
}

// Ack implements sdk.Acker: it is the only place from which the slot moves on.
func (s *Source) Ack(ctx context.Context, pos sdk.Position) error {
	at, err := position.Decode(pos, s.config.Mode)
	if err != nil {
		return sdk.Fatal(err)
	}
	if at == nil || at.Mode != position.CDC {
		return nil
	}
	err = s.acks.Confirm(ctx, s.server.Connect, at.Slot, at.LSN)
	return server.Judge(ctx, "confirm", err)
}
