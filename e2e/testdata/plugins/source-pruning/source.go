package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
)

// Config is what the test writes. The folder holds segments, named by the number of their first row (000000000000.jsonl), with a
// row {"id": …, "value": …} per line, and the file acked, once there was an Ack.
type Config struct {
	Dir            string  `json:"dir" jsonschema:"required" jsonschema_description:"Folder of the segments, absolute."`
	CheckpointRows int64   `json:"checkpoint_rows,omitempty" jsonschema:"minimum=1,default=1000" jsonschema_description:"Rows between two checkpoints, and rows of a batch."`
	Rate           float64 `json:"rate,omitempty" jsonschema:"minimum=0" jsonschema_description:"Rows per second; 0 is as fast as possible."`
}

const (
	stream  = "rows"
	suffix  = ".jsonl"
	ackFile = "acked"
)

// Source reads the segments. Its position is the number of the next row.
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

// Streams implements sdk.Source.
func (*Source) Streams(context.Context) ([]sdk.Stream, error) {
	return []sdk.Stream{{Name: stream, Schema: schema(), Key: []string{"id"}}}, nil
}

// Close implements sdk.Source.
func (*Source) Close(context.Context) error { return nil }

// Ack implements sdk.Acker: what lies before the position is gone from then on.
func (s *Source) Ack(_ context.Context, pos sdk.Position) error {
	row, err := number(pos)
	if err != nil {
		return err
	}
	s.acks.Lock()
	defer s.acks.Unlock()
	acked, err := s.acked()
	if err != nil || row <= acked {
		return err
	}
	path := filepath.Join(s.config.Dir, ackFile)
	if err := os.WriteFile(path+".new", []byte(strconv.FormatInt(row, 10)), 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return s.prune(row)
}

// prune deletes the segments whose rows all lie before the row: those that another one begins behind.
func (s *Source) prune(row int64) error {
	segments, err := s.segments()
	if err != nil {
		return err
	}
	for i, first := range segments {
		if i+1 == len(segments) || segments[i+1] > row {
			return nil
		}
		if err := os.Remove(s.path(first)); err != nil {
			return err
		}
	}
	return nil
}

// acked is the row before which all is gone.
func (s *Source) acked() (int64, error) {
	text, err := os.ReadFile(filepath.Join(s.config.Dir, ackFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

func number(pos sdk.Position) (int64, error) {
	var row int64
	if len(pos) == 0 {
		return 0, nil
	}
	if err := json.Unmarshal(pos, &row); err != nil {
		return 0, sdk.Fatal(fmt.Errorf("position %q: expected a row number: %w", pos, err))
	}
	return row, nil
}

func (s *Source) path(first int64) string {
	return filepath.Join(s.config.Dir, fmt.Sprintf("%012d%s", first, suffix))
}

// segments are the numbers of the first rows, in order.
func (s *Source) segments() ([]int64, error) {
	entries, err := os.ReadDir(s.config.Dir)
	if err != nil {
		return nil, err
	}
	var segments []int64
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), suffix)
		if !ok {
			continue
		}
		first, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("segment %q: expected a row number as its name: %w", entry.Name(), err)
		}
		segments = append(segments, first)
	}
	slices.Sort(segments)
	return segments, nil
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
	segments, err := s.segments()
	if err != nil {
		return err
	}
	if err := out.Schema(ctx, sdk.SchemaChange{Stream: stream, Version: 1, Schema: schema(), Key: []string{"id"}}); err != nil {
		return err
	}
	r := &reading{source: s, out: out, stop: req.Stop, next: from, begun: time.Now()}
	r.rows = array.NewRecordBuilder(s.env.Alloc, schema())
	defer r.rows.Release()
	for i, first := range segments {
		if i+1 < len(segments) && segments[i+1] <= from {
			continue
		}
		if err := r.segment(ctx, first); err != nil || r.stopped() {
			return errors.Join(err, r.flush(ctx))
		}
	}
	return r.flush(ctx)
}

// reading is the state of one Read.
type reading struct {
	source *Source
	out    sdk.Emitter
	stop   <-chan struct{}
	rows   *array.RecordBuilder
	held   int64
	next   int64
	made   int64
	begun  time.Time
}

func (r *reading) stopped() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

func (r *reading) segment(ctx context.Context, first int64) error {
	if first > r.next {
		return sdk.Fatal(fmt.Errorf("rows %d to %d are missing", r.next, first-1))
	}
	file, err := os.Open(r.source.path(first))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for at := first; lines.Scan() && !r.stopped(); at++ {
		if at < r.next {
			continue
		}
		if err := r.row(ctx, lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (r *reading) row(ctx context.Context, line []byte) error {
	var row struct {
		ID    int64
		Value string
	}
	if err := json.Unmarshal(line, &row); err != nil {
		return sdk.Fatal(fmt.Errorf("row %d: %w", r.next, err))
	}
	r.rows.Field(0).(*array.Int64Builder).Append(row.ID)
	r.rows.Field(1).(*array.StringBuilder).Append(row.Value)
	r.held++
	r.next++
	if r.held < r.source.config.CheckpointRows {
		return nil
	}
	return r.flush(ctx)
}

// flush emits what is held and a checkpoint behind it.
func (r *reading) flush(ctx context.Context) error {
	if r.held == 0 {
		return nil
	}
	if err := r.pace(ctx); err != nil {
		return err
	}
	if err := r.out.Batch(ctx, sdk.Batch{Stream: stream, Version: 1, Record: r.rows.NewRecordBatch()}); err != nil {
		return err
	}
	r.made += r.held
	r.held = 0
	return r.out.Checkpoint(ctx, sdk.Position(strconv.FormatInt(r.next, 10)))
}

func (r *reading) pace(ctx context.Context) error {
	if r.source.config.Rate == 0 {
		return nil
	}
	timer := time.NewTimer(time.Until(r.begun.Add(time.Duration(float64(r.made) / r.source.config.Rate * float64(time.Second)))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.stop:
	case <-ctx.Done():
	}
	return ctx.Err()
}
