package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
)

// PlanSchema implements sdk.Sink.
func (s *Sink) PlanSchema(_ context.Context, c sdk.SchemaChange) ([]sdk.Action, error) {
	if err := s.config.checkSchema(c.Schema); err != nil {
		return nil, sdk.Fatal(fmt.Errorf("stream %q: %w", c.Stream, err))
	}
	var actions []sdk.Action
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		actions = append(actions, sdk.Action{Object: s.path, Description: "create the folder"})
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, sdk.ConfigError("/path", "%q is a file, expected a folder", s.path)
	}
	pattern := strings.ReplaceAll(s.config.Name, "{seq}", "*")
	files := Config{Name: strings.ReplaceAll(pattern, "{part}", "*"), Format: s.config.Format, Compression: s.config.Compression}
	actions = append(actions, sdk.Action{
		Object:      filepath.Join(s.path, files.fileName(s.flow, c.Stream, 0, 1)),
		Description: fmt.Sprintf("write %s files (compression %s) with columns %s", s.config.Format, s.config.compression(), columnsText(c.Schema)),
	})
	return s.planOverwrite(actions)
}

// planOverwrite adds what the first unit would remove.
func (s *Sink) planOverwrite(actions []sdk.Action) ([]sdk.Action, error) {
	if s.mode != sdk.Overwrite {
		return actions, nil
	}
	root, err := os.OpenRoot(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return actions, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	l := newLedger(nil, root, s.flow)
	seqs, err := l.seqs()
	if err != nil {
		return nil, err
	}
	count := 0
	for _, seq := range seqs {
		rec, err := l.record(seq)
		if err != nil {
			return nil, err
		}
		count += len(rec.Files)
	}
	if count == 0 {
		return actions, nil
	}
	return append(actions, sdk.Action{
		Object: s.path, Destructive: true, Description: fmt.Sprintf("each unit replaces all earlier files of flow %q; %d now", s.flow, count),
	}), nil
}

func columnsText(schema *arrow.Schema) string {
	var columns []string
	for _, f := range schema.Fields() {
		columns = append(columns, f.Name+" "+f.Type.String())
	}
	return strings.Join(columns, ", ")
}
