package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
)

// Config is what the test writes. There are ticks from 0 on; a stream has a row at each tick that is a multiple of its number.
type Config struct {
	Ticks          int64            `json:"ticks" jsonschema:"required,minimum=1" jsonschema_description:"How many ticks there are."`
	Every          map[string]int64 `json:"every" jsonschema:"required" jsonschema_description:"Streams, and at which ticks they have a row; 0 is never."`
	CheckpointRows int64            `json:"checkpoint_rows,omitempty" jsonschema:"minimum=1,default=100" jsonschema_description:"Ticks between two checkpoints."`
	RejectEvery    int64            `json:"reject_every,omitempty" jsonschema_description:"Reject the rows of each n-th tick."`
	Width          int              `json:"width,omitempty" jsonschema_description:"Characters of a value."`
	Acked          string           `json:"acked" jsonschema:"required" jsonschema_description:"File that keeps what was acknowledged, absolute."`
}

// Source makes rows up. Its position is the number of the next tick.
type Source struct {
	config Config
	env    sdk.Env
	acks   sync.Mutex
}

var (
	_ sdk.Source = (*Source)(nil)
	_ sdk.Acker  = (*Source)(nil)
)

// New makes a source.
func New(_ context.Context, c Config, env sdk.Env) (*Source, error) {
	return &Source{config: c, env: env}, nil
}

func schema() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "value", Type: arrow.BinaryTypes.String},
	}, nil)
}

func (s *Source) names() []string { return slices.Sorted(maps.Keys(s.config.Every)) }

// Streams implements sdk.Source.
func (s *Source) Streams(context.Context) ([]sdk.Stream, error) {
	var streams []sdk.Stream
	for _, name := range s.names() {
		streams = append(streams, sdk.Stream{Name: name, Schema: schema(), Key: []string{"id"}})
	}
	return streams, nil
}

// Close implements sdk.Source.
func (*Source) Close(context.Context) error { return nil }

// Ack implements sdk.Acker.
func (s *Source) Ack(_ context.Context, pos sdk.Position) error {
	tick, err := number(pos)
	if err != nil {
		return err
	}
	s.acks.Lock()
	defer s.acks.Unlock()
	acked, err := s.acked()
	if err != nil || tick <= acked {
		return err
	}
	if err := os.WriteFile(s.config.Acked+".new", []byte(strconv.FormatInt(tick, 10)), 0o600); err != nil {
		return err
	}
	return os.Rename(s.config.Acked+".new", s.config.Acked)
}

// acked is the tick before which all is gone.
func (s *Source) acked() (int64, error) {
	text, err := os.ReadFile(s.config.Acked)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

func number(pos sdk.Position) (int64, error) {
	var tick int64
	if len(pos) == 0 {
		return 0, nil
	}
	if err := json.Unmarshal(pos, &tick); err != nil {
		return 0, sdk.Fatal(fmt.Errorf("position %q: expected a tick: %w", pos, err))
	}
	return tick, nil
}

// Read implements sdk.Source.
func (s *Source) Read(ctx context.Context, req sdk.ReadRequest, out sdk.Emitter) error {
	from, err := number(req.Position)
	if err != nil {
		return err
	}
	acked, err := s.acked()
	if err != nil {
		return err
	}
	if from < acked {
		return sdk.Fatal(fmt.Errorf("position %d was acknowledged and is gone: rows before %d were given up", from, acked))
	}
	for _, name := range s.names() {
		if err := out.Schema(ctx, sdk.SchemaChange{Stream: name, Version: 1, Schema: schema(), Key: []string{"id"}}); err != nil {
			return err
		}
	}
	for from < s.config.Ticks && !stopped(req.Stop) {
		end := min(from+s.config.CheckpointRows, s.config.Ticks)
		for _, name := range s.names() {
			if err := s.emit(ctx, name, from, end, out); err != nil {
				return err
			}
		}
		from = end
		if err := out.Checkpoint(ctx, sdk.Position(strconv.FormatInt(from, 10))); err != nil {
			return err
		}
	}
	return nil
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// emit gives a stream's rows of the ticks between two checkpoints.
func (s *Source) emit(ctx context.Context, stream string, from, end int64, out sdk.Emitter) error {
	every := s.config.Every[stream]
	if every == 0 {
		return nil
	}
	b := array.NewRecordBuilder(s.env.Alloc, schema())
	defer b.Release()
	var rejects []sdk.Rejection
	for tick := from; tick < end; tick++ {
		if tick%every != 0 {
			continue
		}
		value := fmt.Sprintf("%s %0*d", stream, s.config.Width, tick)
		if s.config.RejectEvery > 0 && tick%s.config.RejectEvery == 0 {
			rejects = append(rejects, sdk.Rejection{
				Stream: stream, Code: "malformed", Reason: "for the test", Raw: fmt.Appendf(nil, `{"id":%d}`, tick), Row: sdk.NoRow,
			})
			continue
		}
		b.Field(0).(*array.Int64Builder).Append(tick)
		b.Field(1).(*array.StringBuilder).Append(value)
	}
	if len(rejects) > 0 {
		if err := out.Reject(ctx, rejects...); err != nil {
			return err
		}
	}
	rows := b.NewRecordBatch()
	if rows.NumRows() == 0 {
		rows.Release()
		return nil
	}
	return out.Batch(ctx, sdk.Batch{Stream: stream, Version: 1, Record: rows})
}
