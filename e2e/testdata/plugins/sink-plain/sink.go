package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
)

// Config is what the test writes.
type Config struct {
	Path           string `json:"path" jsonschema:"required" jsonschema_description:"Folder for the rows; from the project folder."`
	Mark           bool   `json:"mark,omitempty" jsonschema_description:"Keep the mark with the rows, and so each of them once."`
	RefuseAtWrite  int64  `json:"refuse_at_write,omitempty" jsonschema_description:"Refuse rows whose id is a multiple of this when they are written."`
	RefuseAtCommit int64  `json:"refuse_at_commit,omitempty" jsonschema_description:"Refuse rows whose id is a multiple of this only when they are committed."`
}

// Sink gathers a unit's rows as lines of JSON.
type Sink struct {
	config Config
	epoch  uint64
	lines  bytes.Buffer
	late   []sdk.Rejection
}

var _ sdk.Sink = (*Sink)(nil)

// state is what a sink with a mark knows, beside the files of the units.
type state struct {
	Epoch   uint64
	Mark    sdk.Mark
	Refused []sdk.Rejection // by the last commit, which may be repeated
}

// New makes a sink.
func New(_ context.Context, c Config, _ sdk.Env) (*Sink, error) { return &Sink{config: c}, nil }

// Open implements sdk.Sink.
func (s *Sink) Open(context.Context, sdk.OpenRequest) (sdk.Opened, error) {
	guarantee := sdk.AtLeastOnce
	if s.config.Mark {
		guarantee = sdk.ExactlyOnce
	}
	return sdk.Opened{Guarantee: guarantee, External: sdk.ExternalDataset{Namespace: "file", Name: s.config.Path}}, nil
}

// PlanSchema implements sdk.Sink.
func (*Sink) PlanSchema(context.Context, sdk.SchemaChange) ([]sdk.Action, error) { return nil, nil }

// ApplySchema implements sdk.Sink.
func (*Sink) ApplySchema(context.Context, sdk.SchemaChange) error { return nil }

// Close implements sdk.Sink.
func (*Sink) Close(context.Context) error { return nil }

// Begin implements sdk.Sink.
func (s *Sink) Begin(_ context.Context, epoch uint64) (sdk.Mark, error) {
	s.forget()
	if err := os.MkdirAll(s.config.Path, 0o750); err != nil || !s.config.Mark {
		return sdk.Mark{}, err
	}
	st, err := s.load()
	if err != nil {
		return sdk.Mark{}, err
	}
	if st.Epoch > epoch {
		return sdk.Mark{}, sdk.Fenced(st.Epoch)
	}
	s.epoch, st.Epoch = epoch, epoch
	return st.Mark, s.store(st)
}

func (s *Sink) forget() {
	s.lines.Reset()
	s.late = nil
}

// Write implements sdk.Sink.
func (s *Sink) Write(_ context.Context, b sdk.Batch) ([]sdk.Rejection, error) {
	defer b.Record.Release()
	ids, ok := column(b.Record, "id").(*array.Int64)
	if !ok {
		return nil, sdk.Fatal(errors.New("expected a column id of type int64"))
	}
	text, err := b.Record.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, err
	}
	var refused []sdk.Rejection
	for i, row := range rows {
		switch id := ids.Value(i); {
		case multiple(id, s.config.RefuseAtWrite):
			refused = append(refused, sdk.Rejection{Stream: b.Stream, Code: "refused", Reason: "at write", Row: i})
		case multiple(id, s.config.RefuseAtCommit):
			s.late = append(s.late, sdk.Rejection{Stream: b.Stream, Code: "refused_late", Reason: "at commit", Raw: row, Row: sdk.NoRow})
		default:
			s.lines.Write(row)
			s.lines.WriteByte('\n')
		}
	}
	return refused, nil
}

func multiple(id, of int64) bool { return of > 0 && id%of == 0 }

func column(record arrow.RecordBatch, name string) arrow.Array {
	at := record.Schema().FieldIndices(name)
	if len(at) == 0 {
		return nil
	}
	return record.Column(at[0])
}

// Commit implements sdk.Sink.
func (s *Sink) Commit(_ context.Context, m sdk.Mark) ([]sdk.Rejection, error) {
	defer s.forget()
	if !s.config.Mark {
		return s.late, s.write("rows.jsonl", os.O_APPEND)
	}
	st, err := s.load()
	if err != nil {
		return nil, err
	}
	if st.Epoch > s.epoch {
		return nil, sdk.Fenced(st.Epoch)
	}
	if m.Seq <= st.Mark.Seq {
		return st.Refused, nil
	}
	if err := s.write(fmt.Sprintf("%06d.jsonl", m.Seq), os.O_TRUNC); err != nil {
		return nil, err
	}
	st.Mark, st.Refused = m, s.late
	return s.late, s.store(st)
}

// write puts the unit's rows into a file with one call, so that a kill leaves no half of a line.
func (s *Sink) write(name string, how int) error {
	file, err := os.OpenFile(filepath.Join(s.config.Path, name), os.O_CREATE|os.O_WRONLY|how, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(s.lines.Bytes())
	return errors.Join(err, file.Sync(), file.Close())
}

const stateFile = "state.json"

func (s *Sink) load() (state, error) {
	var st state
	text, err := os.ReadFile(filepath.Join(s.config.Path, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(text, &st)
}

func (s *Sink) store(st state) error {
	text, err := json.Marshal(st)
	if err != nil {
		return err
	}
	path := filepath.Join(s.config.Path, stateFile)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
