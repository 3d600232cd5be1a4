package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/sdk"
)

// Commit implements sdk.Sink.
func (s *Sink) Commit(ctx context.Context, m sdk.Mark) ([]sdk.Rejection, error) {
	if s.self == (owner{}) {
		return nil, sdk.Fatal(errors.New("Commit before Begin"))
	}
	if s.unit.broken {
		return s.outcome(ctx, m, sdk.Retryable(errors.New("the unit was lost with its session: expected Begin"), 0))
	}
	rejected, err := s.commit(ctx, m)
	if err == nil {
		return rejected, nil
	}
	s.unit.broken = true
	s.disconnect(ctx)
	if ctx.Err() != nil || !server.Lost(err) {
		return nil, server.Judge(ctx, "commit", err)
	}
	return s.outcome(ctx, m, server.Judge(ctx, "commit", err))
}

// outcome looks for what has become of a commit whose answer is not known.
func (s *Sink) outcome(ctx context.Context, m sdk.Mark, cause error) ([]sdk.Rejection, error) {
	e, err := s.look(ctx)
	switch {
	case err != nil:
		return nil, cause
	case e.owner != s.self:
		return nil, sdk.Fenced(e.Epoch)
	case e.mark.Seq == m.Seq && samePosition(e.mark.Position, m.Position):
		return e.rejections, nil
	}
	return nil, cause
}

// commit merges what is staged and writes the mark, in one transaction.
func (s *Sink) commit(ctx context.Context, m sdk.Mark) ([]sdk.Rejection, error) {
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := s.beginUnit(ctx); err != nil {
		return nil, err
	}
	now, err := s.ledger.read(ctx, s.conn, s.flow, "for update")
	switch {
	case err != nil:
		return nil, err
	case now == nil:
		return nil, sdk.Fatal(fmt.Errorf("the row of flow %q is gone from %s", s.flow, s.ledger.name))
	case now.owner != s.self:
		return nil, sdk.Fenced(now.Epoch)
	case m.Seq <= now.mark.Seq:
		return s.repeat(ctx, now, m)
	case m.Epoch < s.self.Epoch:
		return nil, sdk.Fenced(s.self.Epoch)
	case m.Epoch > s.self.Epoch || m.Seq == 0:
		return nil, sdk.Fatal(fmt.Errorf("mark of epoch %d and seq %d: expected epoch %d and a seq from 1", m.Epoch, m.Seq, s.self.Epoch))
	}
	refused, err := s.settle(ctx)
	if err != nil {
		return nil, err
	}
	rejected := rejections("", refused)
	streams := append(slices.Collect(maps.Keys(s.unit.wrote)), s.earlier...)
	if err := s.ledger.commit(ctx, s.conn, s.flow, m, streams, rejected); err != nil {
		return nil, err
	}
	if _, err := s.conn.Exec(ctx, "commit"); err != nil {
		return nil, err
	}
	s.unit.open, s.earlier = false, streams
	return rejected, s.dropUnit(ctx)
}

// settle does what a unit does to the tables besides what was written into them directly.
func (s *Sink) settle(ctx context.Context) ([]refusal, error) {
	switch s.mode {
	case modeReplace:
		for _, stream := range append(slices.Sorted(maps.Keys(s.streams)), s.earlier...) {
			name, err := s.config.name(stream)
			if err != nil {
				return nil, err
			}
			if err := s.empty(ctx, name); err != nil {
				return nil, err
			}
		}
	case modeUpsert:
		return s.merge(ctx)
	}
	return nil, nil
}

// repeat answers a commit of a unit that is committed: what was staged for it again goes.
func (s *Sink) repeat(ctx context.Context, now *entry, m sdk.Mark) ([]sdk.Rejection, error) {
	if m.Seq < now.mark.Seq {
		return nil, s.dropUnit(ctx)
	}
	if !samePosition(m.Position, now.mark.Position) {
		return nil, sdk.Fatal(fmt.Errorf("seq %d is committed with position %s, not with %s", m.Seq, now.mark.Position, m.Position))
	}
	return now.rejections, s.dropUnit(ctx)
}

func samePosition(a, b sdk.Position) bool {
	var left, right bytes.Buffer
	if json.Compact(&left, a) != nil || json.Compact(&right, b) != nil {
		return bytes.Equal(a, b)
	}
	return bytes.Equal(left.Bytes(), right.Bytes())
}
