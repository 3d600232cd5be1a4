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
	Every        int64  `json:"checkpoint_every,omitempty" jsonschema:"minimum=1,default=25" jsonschema_description:"Transactions between two checkpoints."`
	Final        string `json:"final,omitempty" jsonschema_description:"File that gets what the table holds in the end, absolute."`
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

const stream = "accounts"

// Streams implements sdk.Source.
func (*Source) Streams(context.Context) ([]sdk.Stream, error) {
	return []sdk.Stream{{Name: stream, Schema: change.Schema(schema(), key), Key: key}}, nil
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
	t := &table{keys: s.config.Keys, rows: map[int64]row{}}
	for number := range from {
		t.transact(number, nil)
	}
	b := change.NewBuilder(s.env.Alloc, schema(), key)
	defer b.Release()
	if err := out.Schema(ctx, sdk.SchemaChange{Stream: stream, Version: 1, Schema: b.Schema(), Key: key}); err != nil {
		return err
	}
	for from < s.config.Transactions && !stopped(req.Stop) {
		end := min(from+s.config.Every, s.config.Transactions)
		for ; from < end; from++ {
			t.transact(from, b)
		}
		rows, err := b.Batch()
		if err != nil {
			return err
		}
		if err := out.Batch(ctx, sdk.Batch{Stream: stream, Version: 1, Record: rows}); err != nil {
			return err
		}
		if err := out.Checkpoint(ctx, sdk.Position(strconv.FormatInt(from, 10))); err != nil {
			return err
		}
	}
	if s.config.Final == "" {
		return nil
	}
	text, err := t.text()
	if err != nil {
		return err
	}
	return os.WriteFile(s.config.Final, text, 0o600)
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
