package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/qanat-data/qanat/sdk"
)

// Sink writes files into a folder. Calls come one after the other.
type Sink struct {
	config Config
	env    sdk.Env
	path   string // absolute
	flow   string
	mode   sdk.WriteMode

	root   rooted
	disk   disk
	wrap   func(disk) disk // puts a test's disk in front of the real one
	ledger *ledger
	self   owner
	unit   *unit
	units  int
}

var _ sdk.Sink = (*Sink)(nil)

// New resolves the folder and touches nothing.
func New(_ context.Context, c Config, env sdk.Env) (*Sink, error) {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, sdk.ConfigError("/path", "%w", err)
	}
	return &Sink{config: c, env: env, path: path, wrap: func(d disk) disk { return d }}, nil
}

// Open implements sdk.Sink.
func (s *Sink) Open(_ context.Context, req sdk.OpenRequest) (sdk.Opened, error) {
	if req.Mode != sdk.Append && req.Mode != sdk.Overwrite {
		return sdk.Opened{}, sdk.Fatal(fmt.Errorf("write mode %q: files can't be changed row by row, allowed are append and overwrite", req.Mode))
	}
	if req.Flow == "" {
		return sdk.Opened{}, sdk.Fatal(errors.New("a flow without a name: the mark is kept under it"))
	}
	s.flow, s.mode = req.Flow, req.Mode
	return sdk.Opened{
		Guarantee: sdk.ExactlyOnce, External: sdk.ExternalDataset{Namespace: "file", Name: filepath.ToSlash(s.path)},
	}, nil
}

// ApplySchema implements sdk.Sink. Batches of another schema begin another file, so there is nothing to prepare.
func (s *Sink) ApplySchema(_ context.Context, c sdk.SchemaChange) error {
	if err := s.config.checkSchema(c.Schema); err != nil {
		return sdk.Fatal(fmt.Errorf("stream %q: %w", c.Stream, err))
	}
	return nil
}

// Begin implements sdk.Sink.
func (s *Sink) Begin(ctx context.Context, epoch uint64) (sdk.Mark, error) {
	if s.flow == "" {
		return sdk.Mark{}, sdk.Fatal(errors.New("Begin before Open"))
	}
	if err := s.connect(); err != nil {
		return sdk.Mark{}, err
	}
	unlock, err := s.ledger.lock(ctx)
	if err != nil {
		return sdk.Mark{}, err
	}
	defer unlock()
	before, err := s.ledger.owner()
	if err != nil {
		return sdk.Mark{}, err
	}
	if before.Epoch > epoch {
		return sdk.Mark{}, sdk.Fenced(before.Epoch)
	}
	self := owner{Epoch: epoch, Instance: rand.Text()}
	if err := s.ledger.claim(self); err != nil {
		return sdk.Mark{}, err
	}
	last, err := s.ledger.last()
	if err != nil {
		return sdk.Mark{}, err
	}
	if err := s.ledger.finish(last); err != nil {
		return sdk.Mark{}, err
	}
	if err := s.ledger.sweep(); err != nil {
		return sdk.Mark{}, err
	}
	s.self = self
	if last == nil {
		return sdk.Mark{}, nil
	}
	return last.mark(), nil
}

// forget lets the open unit go. One that a failed Commit left may be committed, so it is the next Begin's business.
func (s *Sink) forget() error {
	left := s.unit
	s.unit = nil
	if left == nil || left.complete {
		return nil
	}
	return left.drop()
}

// connect opens the folder, once, and forgets what was staged before.
func (s *Sink) connect() error {
	if err := s.forget(); err != nil {
		return err
	}
	if s.ledger == nil {
		root, err := openRoot(s.path)
		if err != nil {
			return err
		}
		s.root, s.disk = root, s.wrap(root)
		s.ledger = newLedger(s.disk, root.root, s.flow)
	}
	return s.ledger.create()
}

// Write implements sdk.Sink. Files hold any row, so none is rejected.
func (s *Sink) Write(_ context.Context, b sdk.Batch) ([]sdk.Rejection, error) {
	defer b.Record.Release()
	if s.self == (owner{}) {
		return nil, sdk.Fatal(errors.New("Write before Begin"))
	}
	if b.Record.NumRows() == 0 {
		return nil, nil
	}
	if s.current().complete {
		return nil, sdk.Fatal(errors.New("Write after a Commit that failed: expected the same Commit again, or Begin"))
	}
	if err := s.current().write(b); err != nil {
		return nil, s.explain(err)
	}
	return nil, nil
}

// current is the open unit; there is one from the first Write or an empty Commit on.
func (s *Sink) current() *unit {
	if s.unit == nil {
		s.units++
		folder := fmt.Sprintf("%s/%d-%s-%d", s.ledger.staging(), s.self.Epoch, s.self.Instance, s.units)
		s.unit = newUnit(s.config, s.disk, s.env.Alloc, folder)
	}
	return s.unit
}

// explain tells a fault from the work of a newer writer, which sweeps the staging folder.
func (s *Sink) explain(err error) error {
	if fenced := s.ledger.check(s.self); sdk.KindOf(fenced) == sdk.KindFenced {
		return fenced
	}
	return err
}

// Commit implements sdk.Sink.
func (s *Sink) Commit(ctx context.Context, m sdk.Mark) ([]sdk.Rejection, error) {
	if s.self == (owner{}) {
		return nil, sdk.Fatal(errors.New("Commit before Begin"))
	}
	if err := s.current().finish(); err != nil {
		return nil, s.explain(err)
	}
	unlock, err := s.ledger.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.ledger.check(s.self); err != nil {
		if sdk.KindOf(err) == sdk.KindFenced {
			err = errors.Join(err, s.dropFenced())
		}
		return nil, err
	}
	last, err := s.ledger.last()
	if err != nil {
		return nil, err
	}
	if last != nil && m.Seq <= last.Seq {
		return nil, s.repeat(last, m)
	}
	if m.Epoch < s.self.Epoch {
		return nil, sdk.Fenced(s.self.Epoch)
	}
	if m.Epoch > s.self.Epoch || m.Seq == 0 {
		return nil, sdk.Fatal(fmt.Errorf("mark of epoch %d and seq %d: expected epoch %d and a seq from 1", m.Epoch, m.Seq, s.self.Epoch))
	}
	if err := s.ledger.finish(last); err != nil {
		return nil, err
	}
	if err := s.ledger.commit(s.unit.record(s.flow, s.mode, m)); err != nil {
		return nil, err
	}
	s.unit = nil
	return nil, nil
}

// dropFenced removes what is staged. Even if it is committed, the writer that fenced this one out has put it in place.
func (s *Sink) dropFenced() error {
	fenced := s.unit
	s.unit = nil
	return fenced.drop()
}

// repeat answers a commit of a unit that is committed: what was staged for it again goes, what was left undone is done.
func (s *Sink) repeat(last *record, m sdk.Mark) error {
	if m.Seq == last.Seq && !samePosition(m.Position, sdk.Position(last.Position)) {
		return sdk.Fatal(fmt.Errorf("seq %d is committed with position %s, not with %s", m.Seq, last.Position, m.Position))
	}
	if err := s.ledger.finish(last); err != nil {
		return err
	}
	repeated := s.unit
	s.unit = nil
	return repeated.drop()
}

func samePosition(a, b sdk.Position) bool {
	var left, right bytes.Buffer
	if json.Compact(&left, a) != nil || json.Compact(&right, b) != nil {
		return bytes.Equal(a, b)
	}
	return bytes.Equal(left.Bytes(), right.Bytes())
}

// Close implements sdk.Sink.
func (s *Sink) Close(context.Context) error {
	err := s.forget()
	if s.root.root != nil {
		err = errors.Join(err, s.root.root.Close())
		s.root.root = nil
	}
	return err
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
