package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/snapshot"
	"github.com/qanat-data/qanat/sdk"
)

// readFull reads the tables that have not been read, as of one moment.
func (s *Source) readFull(ctx context.Context, req sdk.ReadRequest, at *position.Position, out sdk.Emitter) error {
	session, err := snapshot.Open(ctx, s.server, max(1, s.config.Connections), "")
	if err != nil {
		return server.Judge(ctx, "open a snapshot", err)
	}
	defer func() { session.Close(ctx) }()
	tables, err := s.sighted(ctx, session, req.Streams)
	if err != nil {
		return err
	}
	identity, err := identify(ctx, session.Asks)
	if err != nil {
		return server.Judge(ctx, "identify the system", err)
	}
	if err := s.belongs(at, identity); err != nil {
		return err
	}
	if at == nil {
		at = position.New(position.Full, s.server.Database(), identity)
	}
	if err := known(at, tables); err != nil {
		return err
	}
	if err := sameKeys(at, tables); err != nil {
		return err
	}
	at.Identity = identity
	if begun(at) && at.LSN != session.LSN {
		s.env.Log.Info("a read goes on in a new snapshot: what is read from here on is as of now, what was read before as of then", "before", at.LSN, "now", session.LSN)
	}
	r := s.newTables(req, out, at, tables)
	r.position.LSN = session.LSN
	if err := r.read(ctx, session); err != nil {
		return err
	}
	session.Close(ctx) // nothing keeps the server from tidying up while a run that follows waits
	session = nil
	if err := r.checkpoint(ctx); err != nil || !req.Follow {
		return err
	}
	return wait(ctx, req.Stop)
}

// sameKeys says whether tables that were read in part still have the order in which they were read.
func sameKeys(at *position.Position, tables []*table) error {
	for _, t := range tables {
		was := at.Tables[t.Stream]
		if was == nil || was.Done || !was.Begun() {
			continue
		}
		var now []string
		if t.Key != nil {
			now = t.Key.Names()
		}
		if !slices.Equal(was.Key, now) {
			return sdk.Fatal(fmt.Errorf("table %s was read in part by the key %v, and its key is now %v: start the pipeline from the beginning, or give the table another stream", t, was.Key, now))
		}
	}
	return nil
}

func wait(ctx context.Context, stop <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-stop:
		return nil
	}
}

func begun(at *position.Position) bool {
	for _, t := range at.Tables {
		if t.Begun() {
			return true
		}
	}
	return false
}

// sighted are the tables of the request as the session's moment has them, locked against changes of their form.
func (s *Source) sighted(ctx context.Context, session *snapshot.Session, streams []string) ([]*table, error) {
	tables, err := s.find(ctx, session.Asks)
	if err != nil {
		return nil, err
	}
	if tables, err = selected(tables, streams); err != nil {
		return nil, err
	}
	rewritten, err := locked(ctx, session, tables)
	if err == nil && len(rewritten) > 0 {
		err = sdk.Retryable(fmt.Errorf("table %s was truncated or rewritten while its snapshot was taken", rewritten[0]), 0)
	}
	return tables, server.Judge(ctx, "lock tables", err)
}

// locked locks tables against changes of their form, and says which of them can't be read as of the session's moment any more.
func locked(ctx context.Context, session *snapshot.Session, tables []*table) ([]*snapshot.Table, error) {
	var all []*snapshot.Table
	for _, t := range tables {
		all = append(all, &t.Table)
	}
	if err := session.Lock(ctx, all); err != nil {
		return nil, err
	}
	return session.Rewritten(ctx, all)
}

// tables is a read of tables from one snapshot. It implements snapshot.Handler.
type tablesRead struct {
	source   *Source
	request  sdk.ReadRequest
	out      sdk.Emitter
	position *position.Position
	all      []*table
	by       map[*snapshot.Table]*table
	shape    func(*table, arrow.RecordBatch) arrow.RecordBatch // of what is emitted; it takes the batch
	lag      func() (string, *sdk.Lag)                         // behind the stream that follows, if one does

	rows     map[string]uint64
	reported time.Time
}

func (s *Source) newTables(req sdk.ReadRequest, out sdk.Emitter, at *position.Position, all []*table) *tablesRead {
	r := &tablesRead{source: s, request: req, out: out, position: at.Clone(), all: all, by: map[*snapshot.Table]*table{}, rows: map[string]uint64{}}
	for _, t := range all {
		r.by[&t.Table] = t
		if r.position.Tables[t.Stream] == nil {
			r.position.Tables[t.Stream] = &position.Table{OID: t.OID}
		}
		r.position.Tables[t.Stream].Print = t.Print()
	}
	return r
}

func (r *tablesRead) read(ctx context.Context, session *snapshot.Session) error {
	for _, t := range r.all {
		if r.position.Tables[t.Stream].Done {
			continue
		}
		c := sdk.SchemaChange{Stream: t.Stream, Version: 1, Schema: r.source.emitted(t), Key: t.names}
		if err := r.out.Schema(ctx, c); err != nil {
			return err
		}
	}
	schema := func(t *snapshot.Table) *arrow.Schema { return r.by[t].schema }
	err := session.Read(ctx, r.chunks(session), schema, r.source.env.Alloc, r)
	return server.Judge(ctx, "read tables", err)
}

// chunks gives the chunks that have not been read, one table after the other.
func (r *tablesRead) chunks(session *snapshot.Session) snapshot.Source {
	left := r.all
	var at snapshot.Progress
	begun := false
	return func(ctx context.Context) (snapshot.Chunk, bool, error) {
		for {
			if len(left) == 0 || r.stopping() {
				return snapshot.Chunk{}, false, nil
			}
			t := left[0]
			if !begun {
				known := r.position.Tables[t.Stream]
				at, begun = snapshot.Progress{After: known.After, Block: known.Block, Done: known.Done}, true
			}
			if at.Done {
				left, begun = left[1:], false
				continue
			}
			chunk, err := t.Next(ctx, session.Asks, at, r.source.config.chunkRows())
			at = chunk.End
			return chunk, err == nil, err
		}
	}
}

func (r *tablesRead) stopping() bool {
	select {
	case <-r.request.Stop:
		return true
	default:
		return false
	}
}

// Rows implements snapshot.Handler.
func (r *tablesRead) Rows(ctx context.Context, c snapshot.Chunk, rows snapshot.Rows) error {
	t := r.by[c.Table]
	origin := r.source.origin(t)
	r.rows[t.Stream] += uint64(len(rows.Rejects))
	for i := range rows.Rejects {
		rows.Rejects[i].Origin = origin
	}
	if len(rows.Rejects) > 0 {
		if err := r.out.Reject(ctx, rows.Rejects...); err != nil {
			if rows.Record != nil {
				rows.Record.Release()
			}
			return err
		}
	}
	if rows.Record == nil {
		return nil
	}
	r.rows[t.Stream] += uint64(rows.Record.NumRows()) //nolint:gosec // counts are never negative
	record := rows.Record
	if r.shape != nil {
		record = r.shape(t, record)
	}
	r.report(t, false)
	return r.out.Batch(ctx, sdk.Batch{Stream: t.Stream, Version: 1, Origin: origin, Record: record})
}

// End implements snapshot.Handler.
func (r *tablesRead) End(ctx context.Context, c snapshot.Chunk) error {
	t := r.by[c.Table]
	p := r.position.Tables[t.Stream]
	p.After, p.Block, p.Done, p.Key = c.End.After, c.End.Block, c.End.Done, nil
	if len(p.After) > 0 {
		p.Key = c.Table.Key.Names()
	}
	r.report(t, p.Done)
	return r.checkpoint(ctx)
}

func (r *tablesRead) checkpoint(ctx context.Context) error {
	pos, err := r.position.Encode()
	if err != nil {
		return err
	}
	return r.out.Checkpoint(ctx, pos)
}

func (r *tablesRead) report(t *table, always bool) {
	if !always && time.Since(r.reported) < r.source.pace.Report {
		return
	}
	r.reported = time.Now()
	total := uint64(t.Rows) //nolint:gosec // an estimate is not negative
	rows := r.rows[t.Stream]
	if total > 0 {
		total = max(total, rows)
	}
	p := sdk.Progress{Stream: t.Stream, Rows: rows, TotalRows: total, Message: fmt.Sprintf("snapshot at %s", r.position.LSN)}
	if r.lag != nil {
		var behind string
		behind, p.Lag = r.lag()
		p.Message += behind
	}
	r.out.Progress(p)
}

func (c *Config) chunkRows() int {
	if c.ChunkRows <= 0 {
		return 100_000
	}
	return c.ChunkRows
}
