package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"

	"github.com/qanat-data/qanat/sdk"
)

// sink appends lines to a file per flow, and keeps who may write and what was committed in another.
type sink struct {
	base
	flow   string
	self   uint64
	staged []string
}

// state of a flow.
type state struct {
	Epoch, Owner uint64
	Mark         sdk.Mark
	Lines        []string
}

func newSink(_ context.Context, c Config, env sdk.Env) (*sink, error) {
	b, err := newBase(c, env)
	return &sink{base: b, self: rand.Uint64()}, err
}

// Open implements sdk.Sink.
func (k *sink) Open(_ context.Context, req sdk.OpenRequest) (sdk.Opened, error) {
	k.flow = req.Flow
	opened := sdk.Opened{Guarantee: sdk.ExactlyOnce, External: sdk.ExternalDataset{Namespace: "file", Name: k.Dir}}
	switch {
	case k.is("at_least_once"):
		opened.Guarantee = sdk.AtLeastOnce
	case k.is("dry_run_effects"):
		return opened, os.WriteFile(k.path("visible-"+k.flow), nil, 0o600)
	}
	return opened, nil
}

// PlanSchema implements sdk.Sink.
func (*sink) PlanSchema(context.Context, sdk.SchemaChange) ([]sdk.Action, error) { return nil, nil }

// ApplySchema implements sdk.Sink.
func (*sink) ApplySchema(context.Context, sdk.SchemaChange) error { return nil }

func (k *sink) load() (state, error) {
	var s state
	raw, err := os.ReadFile(k.path("state-" + k.flow))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(raw, &s)
}

// save writes what readers see, too.
func (k *sink) save(s state) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	var text []byte
	for _, line := range s.Lines {
		text = append(append(text, line...), '\n')
	}
	return errors.Join(os.WriteFile(k.path("state-"+k.flow), raw, 0o600), os.WriteFile(k.path("visible-"+k.flow), text, 0o600))
}

// Begin implements sdk.Sink.
func (k *sink) Begin(_ context.Context, epoch uint64) (sdk.Mark, error) {
	s, err := k.load()
	if err != nil {
		return sdk.Mark{}, err
	}
	if s.Epoch > epoch && !k.is("begin_not_fenced") {
		return sdk.Mark{}, sdk.Fenced(s.Epoch)
	}
	s.Epoch, s.Owner, k.staged = max(s.Epoch, epoch), k.self, nil
	if k.is("keeps_staged") {
		if raw, err := os.ReadFile(k.path("staged-" + k.flow)); err == nil {
			k.staged = append(k.staged, string(raw))
		}
	}
	if err := k.save(s); err != nil {
		return sdk.Mark{}, err
	}
	if k.is("forgets_mark") || k.is("at_least_once") {
		return sdk.Mark{}, nil
	}
	return s.Mark, nil
}

// Write implements sdk.Sink.
func (k *sink) Write(_ context.Context, b sdk.Batch) ([]sdk.Rejection, error) {
	defer b.Record.Release()
	line := fmt.Sprintf("%d rows", b.Record.NumRows())
	if k.is("visible_early") {
		s, err := k.load()
		if err != nil {
			return nil, err
		}
		s.Lines = append(s.Lines, line)
		return nil, k.save(s)
	}
	k.staged = append(k.staged, line)
	if k.is("keeps_staged") {
		return nil, os.WriteFile(k.path("staged-"+k.flow), []byte(line), 0o600)
	}
	return nil, nil
}

// Commit implements sdk.Sink.
func (k *sink) Commit(_ context.Context, m sdk.Mark) ([]sdk.Rejection, error) {
	s, err := k.load()
	if err != nil {
		return nil, err
	}
	switch {
	case k.is("commit_not_fenced"):
	case s.Owner != k.self && (s.Epoch != m.Epoch || !k.is("twin_not_fenced")):
		return nil, sdk.Fenced(s.Epoch)
	}
	if m.Seq <= s.Mark.Seq && !k.is("commit_repeats") {
		k.staged = nil
		return nil, nil
	}
	s.Mark, s.Lines = m, append(s.Lines, k.staged...)
	if !k.is("commit_repeats") {
		k.staged = nil
	}
	_ = os.Remove(k.path("staged-" + k.flow))
	return nil, k.save(s)
}
