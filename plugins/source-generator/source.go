package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qanat-data/qanat/sdk"
)

// Source makes rows up. Its position is a JSON object of each stream's next row.
type Source struct {
	config Config
	shapes []*shape
}

var _ sdk.Source = (*Source)(nil)

// New prepares the streams.
func New(_ context.Context, c Config, env sdk.Env) (*Source, error) {
	s := &Source{config: c}
	for _, name := range c.names() {
		made, err := newShape(c, name, env.Alloc)
		if err != nil {
			return nil, err
		}
		s.shapes = append(s.shapes, made)
	}
	return s, nil
}

// Streams implements sdk.Source.
func (s *Source) Streams(context.Context) ([]sdk.Stream, error) {
	streams := make([]sdk.Stream, len(s.shapes))
	for i, shape := range s.shapes {
		streams[i] = sdk.Stream{
			Name: shape.stream, Description: "made-up rows", Schema: shape.versions[0], Key: shape.key,
			External: sdk.ExternalDataset{Namespace: "generator", Name: shape.stream}, EstimatedRows: s.config.Rows,
		}
	}
	return streams, nil
}

// Close implements sdk.Source.
func (*Source) Close(context.Context) error { return nil }

// Read implements sdk.Source. Streams take turns, a batch each.
func (s *Source) Read(ctx context.Context, req sdk.ReadRequest, out sdk.Emitter) error {
	r, err := s.reading(req, out)
	if err != nil {
		return err
	}
	for r.more() && !stopped(req.Stop) {
		for _, shape := range r.shapes {
			if err := r.turn(ctx, shape); err != nil {
				return err
			}
		}
	}
	if err := r.checkpoint(ctx); err != nil || !req.Follow {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-req.Stop:
		return nil
	}
}

// reading is the state of one Read.
type reading struct {
	config   Config
	shapes   []*shape
	stop     <-chan struct{}
	out      sdk.Emitter
	next     map[string]int64 // the position
	versions map[string]int   // schema versions that have been emitted
	begun    time.Time
	made     int64 // rows since the beginning
	since    int64 // rows since the last checkpoint
}

func (s *Source) reading(req sdk.ReadRequest, out sdk.Emitter) (*reading, error) {
	r := &reading{
		config: s.config, stop: req.Stop, out: out, next: map[string]int64{}, versions: map[string]int{}, begun: time.Now(),
	}
	if len(req.Position) > 0 {
		if err := json.Unmarshal(req.Position, &r.next); err != nil {
			return nil, sdk.Fatal(fmt.Errorf("position %q: expected each stream's next row: %w", req.Position, err))
		}
	}
	for stream, row := range r.next {
		if row < 0 {
			return nil, sdk.Fatal(fmt.Errorf("position of %q: row %d is negative", stream, row))
		}
	}
	names := s.config.names()
	for _, name := range req.Streams {
		if !slices.Contains(names, name) {
			return nil, sdk.Fatal(fmt.Errorf("no stream %q, there are %s", name, strings.Join(names, ", ")))
		}
	}
	for _, shape := range s.shapes {
		if len(req.Streams) == 0 || slices.Contains(req.Streams, shape.stream) {
			r.shapes = append(r.shapes, shape)
		}
	}
	return r, nil
}

// more says whether a stream has rows left.
func (r *reading) more() bool {
	return slices.ContainsFunc(r.shapes, func(s *shape) bool { return r.left(s) > 0 })
}

// left is the number of rows of the stream's next batch.
func (r *reading) left(s *shape) int64 {
	from, rows := r.next[s.stream], r.config.batchRows()
	if r.config.Rows > 0 {
		rows = min(rows, r.config.Rows-from)
	}
	if _, until := s.version(from); until > 0 {
		rows = min(rows, until-from)
	}
	return max(0, rows)
}

// turn emits a batch of the stream, and a checkpoint if one is due.
func (r *reading) turn(ctx context.Context, s *shape) error {
	rows := r.left(s)
	if rows == 0 || !r.pace(ctx) {
		return ctx.Err()
	}
	from := r.next[s.stream]
	if err := r.emit(ctx, s, from, int(rows)); err != nil {
		return err
	}
	r.next[s.stream] = from + rows
	r.made += rows
	r.since += rows
	if r.since < r.config.checkpointRows() {
		return nil
	}
	return r.checkpoint(ctx)
}

func (r *reading) emit(ctx context.Context, s *shape, from int64, n int) error {
	version, _ := s.version(from)
	if r.versions[s.stream] != version {
		if err := r.out.Schema(ctx, s.change(version)); err != nil {
			return err
		}
		r.versions[s.stream] = version
	}
	record := s.rows(version, from, n)
	if every := r.config.Fault.RejectEvery; every > 0 {
		rest, rejections, err := s.rejectEvery(every, from, record)
		if err != nil {
			return err
		}
		if err := r.out.Reject(ctx, rejections...); err != nil || rest == nil {
			if rest != nil {
				rest.Release()
			}
			return err
		}
		record = rest
	}
	return r.out.Batch(ctx, sdk.Batch{Stream: s.stream, Version: version, Record: record})
}

// checkpoint emits the position, and how far the streams are.
func (r *reading) checkpoint(ctx context.Context) error {
	pos, err := json.Marshal(r.next)
	if err != nil {
		return err
	}
	if err := r.out.Checkpoint(ctx, pos); err != nil {
		return err
	}
	r.since = 0
	for _, s := range r.shapes {
		r.out.Progress(sdk.Progress{
			Stream: s.stream, Rows: uint64(r.next[s.stream]), TotalRows: uint64(r.config.Rows), //nolint:gosec // neither is negative
		})
	}
	return nil
}

// pace waits until the rate allows more rows, and says whether there should be more.
func (r *reading) pace(ctx context.Context) bool {
	due := time.Time{}
	if r.config.Rate > 0 {
		due = r.begun.Add(time.Duration(float64(r.made) / r.config.Rate * float64(time.Second)))
	}
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err() == nil && !stopped(r.stop)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-r.stop:
		return false
	case <-timer.C:
		return true
	}
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
