package flow

import (
	"context"
	"errors"
	"io"

	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/sdk"
)

// sourceReader reads from a source plugin's process.
type sourceReader struct {
	process *pluginhost.Read
}

func (r *sourceReader) ack(pos sdk.Position) error { return r.process.Ack(pos) }
func (r *sourceReader) close() error               { return r.process.Close() }

// stop asks the plugin; one that can't be asked any more ends by itself.
func (r *sourceReader) stop() { _ = r.process.Stop() }

func (r *sourceReader) read(ctx context.Context, emit func(event) error) error {
	for {
		next, err := r.process.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := emit(eventOf(next)); err != nil {
			return err
		}
	}
}

func eventOf(e pluginhost.Event) event {
	switch e := e.(type) {
	case pluginhost.SchemaEvent:
		change := sdk.SchemaChange(e)
		return event{schema: &change}
	case pluginhost.BatchEvent:
		batch := sdk.Batch(e)
		return event{batch: &batch}
	case pluginhost.RejectEvent:
		return event{rejects: e}
	case pluginhost.CheckpointEvent:
		return event{checkpoint: sdk.Position(e)}
	case pluginhost.ProgressEvent:
		progress := sdk.Progress(e)
		return event{progress: &progress}
	}
	return event{}
}
