package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// Config is what the test writes.
type Config struct {
	Transactions int64  `json:"transactions" jsonschema:"required,minimum=1" jsonschema_description:"How many there are."`
	Keys         int64  `json:"keys,omitempty" jsonschema:"minimum=1,default=300" jsonschema_description:"How many different keys rows may have."`
	Bank         bool   `json:"bank,omitempty" jsonschema_description:"Change the four tables of a bank, all of them in each transaction, instead of one."`
	Every        int64  `json:"checkpoint_every,omitempty" jsonschema:"minimum=1,default=25" jsonschema_description:"Transactions between two checkpoints."`
	Final        string `json:"final,omitempty" jsonschema_description:"File that gets what the tables hold in the end, absolute."`
}

// Source emits the changes. Its position is the number of the next transaction.
type Source struct {
	config Config
	env    sdk.Env
}

var _ sdk.Source = (*Source)(nil)

// New makes a source.
func New(_ context.Context, c Config, env sdk.Env) (*Source, error) {
	return &Source{config: c, env: env}, nil
}

// world is tables that are made up. What a transaction does depends on its number and on what came before, and on nothing else.
type world interface {
	streams() []string
	// transact carries out a transaction and appends its changes to those of the tables that are there.
	transact(number int64, out builders)
	text(stream string) ([]byte, error)
}

// builders are by stream.
type builders map[string]*change.Builder

func (s *Source) world() world {
	if s.config.Bank {
		return newBank(s.config.Keys)
	}
	return &table{keys: s.config.Keys, rows: map[int64]row{}}
}

// Streams implements sdk.Source.
func (s *Source) Streams(context.Context) ([]sdk.Stream, error) {
	var all []sdk.Stream
	for _, name := range s.world().streams() {
		all = append(all, sdk.Stream{Name: name, Schema: change.Schema(schema(), key), Key: key})
	}
	return all, nil
}

// Close implements sdk.Source.
func (*Source) Close(context.Context) error { return nil }

// Read implements sdk.Source.
func (s *Source) Read(ctx context.Context, req sdk.ReadRequest, out sdk.Emitter) error {
	var from int64
	if len(req.Position) > 0 {
		if err := json.Unmarshal(req.Position, &from); err != nil {
			return sdk.Fatal(fmt.Errorf("position %q: expected the number of a transaction: %w", req.Position, err))
		}
	}
	w := s.world()
	for number := range from {
		w.transact(number, nil)
	}
	to := builders{}
	for _, name := range w.streams() {
		b := change.NewBuilder(s.env.Alloc, schema(), key)
		defer b.Release()
		to[name] = b
		if err := out.Schema(ctx, sdk.SchemaChange{Stream: name, Version: 1, Schema: b.Schema(), Key: key}); err != nil {
			return err
		}
	}
	for from < s.config.Transactions && !stopped(req.Stop) {
		end := min(from+s.config.Every, s.config.Transactions)
		for ; from < end; from++ {
			w.transact(from, to)
		}
		if err := emit(ctx, w, to, out); err != nil {
			return err
		}
		if err := out.Checkpoint(ctx, sdk.Position(strconv.FormatInt(from, 10))); err != nil {
			return err
		}
	}
	return s.leave(w)
}

// emit gives away what has been appended.
func emit(ctx context.Context, w world, from builders, out sdk.Emitter) error {
	for _, name := range w.streams() {
		rows, err := from[name].Batch()
		if err != nil {
			return err
		}
		if err := out.Batch(ctx, sdk.Batch{Stream: name, Version: 1, Record: rows}); err != nil {
			return err
		}
	}
	return nil
}

// leave writes down what the tables hold.
func (s *Source) leave(w world) error {
	if s.config.Final == "" {
		return nil
	}
	var all []byte
	for _, name := range w.streams() {
		text, err := w.text(name)
		if err != nil {
			return err
		}
		all = append(all, text...)
	}
	return os.WriteFile(s.config.Final, all, 0o600)
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
