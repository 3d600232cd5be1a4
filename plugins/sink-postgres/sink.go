package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/table"
	"github.com/qanat-data/qanat/sdk"
)

// Sink implements sdk.Sink and sdk.Tester. Calls come one after the other.
type Sink struct {
	config Config
	env    sdk.Env
	server *server.Server
	ledger ledger

	flow string
	mode string
	key  []string

	conn    *pgx.Conn // nil before the first use, and after it broke
	self    owner     // zero before Begin
	streams map[string]*stream
	tables  map[string]string // the stream of each table
	earlier []string          // streams that the flow has written before
	unit    *unit
	made    int // temporary tables, for their names
}

var _ sdk.Sink = (*Sink)(nil)

// New makes a sink. It connects to nothing.
func New(_ context.Context, c Config, env sdk.Env) (*Sink, error) {
	c.complete()
	s, err := server.Parse(c.DSN.Reveal())
	if err != nil {
		return nil, sdk.ConfigError("/dsn", "%v", err)
	}
	return &Sink{
		config: c, env: env, server: s, ledger: ledger{table.Name{Schema: c.Schema, Table: c.Ledger}},
		streams: map[string]*stream{}, tables: map[string]string{},
	}, nil
}

// Open implements sdk.Sink.
func (s *Sink) Open(_ context.Context, req sdk.OpenRequest) (sdk.Opened, error) {
	if req.Flow == "" {
		return sdk.Opened{}, sdk.Fatal(errors.New("a flow without a name: the mark is kept under it"))
	}
	mode, err := s.config.mode(req.Mode)
	if err != nil {
		return sdk.Opened{}, err
	}
	if mode != modeUpsert && s.config.Delete == softDelete {
		return sdk.Opened{}, sdk.ConfigError("/delete", "soft is for mode upsert, and the flow's is %q", mode)
	}
	s.flow, s.mode, s.key = req.Flow, mode, req.Key
	if len(s.config.Key) > 0 {
		s.key = s.config.Key
	}
	return sdk.Opened{
		Guarantee: sdk.ExactlyOnce,
		External: sdk.ExternalDataset{
			Namespace: s.server.Namespace(), Name: s.server.Database() + "." + s.config.Schema + "." + s.config.Table,
		},
	}, nil
}

// connect opens the session that everything is done in. Temporary tables are its own, so it must not go through a pooler that
// changes sessions between transactions.
func (s *Sink) connect(ctx context.Context) error {
	if s.conn != nil && !s.conn.IsClosed() {
		return nil
	}
	conn, err := s.server.Connect(ctx)
	if err != nil {
		return err
	}
	s.conn = conn
	return nil
}

// disconnect ends the session, and with it all that was staged.
func (s *Sink) disconnect(ctx context.Context) {
	server.Close(ctx, s.conn)
	s.conn = nil
	for _, st := range s.streams {
		st.staging = nil
	}
	if s.unit != nil {
		s.unit.parts = nil
	}
}

// Begin implements sdk.Sink.
func (s *Sink) Begin(ctx context.Context, epoch uint64) (sdk.Mark, error) {
	if s.flow == "" {
		return sdk.Mark{}, sdk.Fatal(errors.New("Begin before Open"))
	}
	s.disconnect(ctx)
	s.self, s.unit = owner{}, newUnit()
	mark, err := s.begin(ctx, owner{Epoch: epoch, Instance: rand.Text()})
	return mark, server.Judge(ctx, "begin", err)
}

func (s *Sink) begin(ctx context.Context, self owner) (sdk.Mark, error) {
	if err := s.connect(ctx); err != nil {
		return sdk.Mark{}, err
	}
	if _, err := s.conn.Exec(ctx, "set lock_timeout = '30s'"); err != nil {
		return sdk.Mark{}, err
	}
	if err := s.ledger.make(ctx, s.conn, s.config.create()); err != nil {
		return sdk.Mark{}, err
	}
	last, err := s.ledger.claim(ctx, s.conn, s.flow, self)
	if err != nil {
		return sdk.Mark{}, err
	}
	s.self, s.earlier = self, last.streams
	return last.mark, nil
}

// Close implements sdk.Sink.
func (s *Sink) Close(ctx context.Context) error {
	s.disconnect(ctx)
	return nil
}

// lost says what has become of a unit whose session failed: a newer writer may have ended it.
func (s *Sink) lost(ctx context.Context, doing string, cause error) error {
	if s.unit != nil {
		s.unit.broken = true
	}
	s.disconnect(ctx)
	if ctx.Err() != nil || !server.Lost(cause) {
		return server.Judge(ctx, doing, cause)
	}
	if s.self == (owner{}) {
		return server.Judge(ctx, doing, cause)
	}
	if e, err := s.look(ctx); err == nil && e.owner != s.self {
		return sdk.Fenced(e.Epoch)
	}
	return server.Judge(ctx, doing, cause)
}

// look reads the flow's row in a session of its own, once the one before has ended its transaction.
func (s *Sink) look(ctx context.Context) (*entry, error) {
	conn, err := s.server.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer server.Close(ctx, conn)
	if _, err := conn.Exec(ctx, "set lock_timeout = '5s'"); err != nil {
		return nil, err
	}
	e, err := s.ledger.read(ctx, conn, s.flow, "for update")
	if err == nil && e == nil {
		err = fmt.Errorf("the row of flow %q is gone from %s", s.flow, s.ledger.name)
	}
	return e, err
}
