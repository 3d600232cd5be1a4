package conformance

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// sinkChecks are the promises of sinks.
func sinkChecks() []check {
	const open, commit, staged, mark = "sink.open", "sink.commit", "sink.staged", "sink.mark"
	return []check{
		{id: open, promise: "It says what it guarantees, and the same again.", run: (*suite).sinkOpen},
		{id: "sink.dry_run", promise: "Open and PlanSchema change nothing outside.", needs: []string{open}, run: (*suite).sinkDryRun},
		{id: "sink.apply_schema", promise: "ApplySchema can be repeated.", needs: []string{open}, run: (*suite).sinkApplySchema},
		{id: commit, promise: "Units are written and committed one after the other, empty ones too.", needs: []string{open}, run: (*suite).sinkCommit},
		{id: staged, promise: "What is written is not visible before Commit, and is after it.", needs: []string{commit}, run: (*suite).sinkStaged},
		{id: mark, promise: "Begin returns the mark of the last Commit, also after SIGKILL.", needs: []string{commit}, run: (*suite).sinkMark},
		{id: "sink.repeat", promise: "Repeating a Commit changes nothing and gives the same rejections.", needs: []string{mark, staged}, run: (*suite).sinkRepeat},
		{id: "sink.kill", promise: "SIGKILL between Write and Commit leaves nothing behind that shows.", needs: []string{mark, staged}, run: (*suite).sinkKill},
		{id: "sink.fence.begin", promise: "Begin with an older epoch is refused as fenced.", needs: []string{mark}, run: (*suite).sinkFenceBegin},
		{id: "sink.fence.commit", promise: "A newer Begin fences: an older instance's Commit is refused as fenced and changes nothing.", needs: []string{mark}, run: (*suite).sinkFenceCommit},
		{id: "sink.fence.twin", promise: "Begin with the same epoch fences the earlier instance, too.", needs: []string{mark}, run: (*suite).sinkFenceTwin},
		{id: "sink.rejects", promise: "Rejections name rows of the batch, each once, with code and reason.", needs: []string{commit}, run: (*suite).sinkRejects},
		{id: "sink.schema_change", promise: "A new schema version is taken between batches and between units.", needs: []string{commit}, run: (*suite).sinkSchemaChange},
		{id: "sink.shapes", promise: "It takes batches of nulls, of no row, of one row, slices, and 100,000 rows.", needs: []string{commit}, run: (*suite).sinkShapes},
		{id: "sink.large_row", promise: "A row as large as may travel, or larger, is written or rejected.", needs: []string{commit}, run: (*suite).sinkLargeRow},
		{id: "sink.types", promise: "Each Arrow type that zones can hold is written, or refused by PlanSchema.", needs: []string{commit}, run: (*suite).sinkTypes},
		{id: "sink.cancel", promise: "When a call is cancelled it returns within a second.", needs: []string{open}, run: (*suite).sinkCancel},
	}
}

// sinkState is what checks of sinks share.
type sinkState struct{ opened sdk.Opened }

// flow is a new flow for each use, so that checks don't see each other's marks.
func (s *suite) flow(what string) string {
	s.flows++
	return fmt.Sprintf("conformance-%s-%d-%s", s.run, s.flows, what)
}

// writer is a sink that has been opened for a flow.
type writer struct {
	*strict.Sink
	s     *suite
	flow  string
	epoch uint64
}

// open makes an instance without beginning.
func (s *suite) open(ctx context.Context, p *strict.Process, flow string) (*writer, error) {
	sink, opened, err := p.Sink(ctx, s.Config, sdk.OpenRequest{Flow: flow, Mode: s.Mode, Key: s.Key})
	if err != nil {
		return nil, err
	}
	s.sinkState.opened = opened
	return &writer{Sink: sink, s: s, flow: flow}, nil
}

// prepare tells the sink the schema, in the runtime's order.
func (w *writer) prepare(c sdk.SchemaChange) error {
	if _, err := w.PlanSchema(c); err != nil {
		return &planRefused{err}
	}
	return w.ApplySchema(c)
}

// begun opens an instance in a process, prepares the first input's schema and begins an epoch.
func (s *suite) begun(ctx context.Context, p *strict.Process, flow string, epoch uint64) (*writer, sdk.Mark, error) {
	w, err := s.open(ctx, p, flow)
	if err != nil {
		return nil, sdk.Mark{}, err
	}
	err = w.prepare(changes(s.Inputs[:1], 1, s.Key)[0])
	var mark sdk.Mark
	if err == nil {
		mark, err = w.Begin(epoch)
		w.epoch = epoch
	}
	if err != nil {
		w.Cancel()
		return nil, sdk.Mark{}, err
	}
	return w, mark, nil
}

// sharedBegun is begun in the shared process.
func (s *suite) sharedBegun(ctx context.Context, flow string, epoch uint64) (*writer, sdk.Mark, error) {
	p, err := s.process(ctx)
	if err != nil {
		return nil, sdk.Mark{}, err
	}
	return s.begun(ctx, p, flow, epoch)
}

// write stages rows of the first input and returns what was rejected.
func (w *writer) write(from, rows int) ([]sdk.Rejection, error) {
	record, err := w.s.Inputs[0].Rows(w.s.Seed, from, rows)
	if err != nil {
		return nil, err
	}
	defer record.Release()
	return w.Write(sdk.Batch{Stream: w.s.Inputs[0].Name, Version: 1, Record: record})
}

// mark of a unit, with a position that is different for each.
func (w *writer) mark(seq uint64) sdk.Mark {
	return sdk.Mark{Epoch: w.epoch, Seq: seq, Position: sdk.Position(fmt.Sprintf(`{"flow":%q,"unit":%d}`, w.flow, seq))}
}

// unit writes and commits.
func (w *writer) unit(seq uint64) error {
	if _, err := w.write(int(seq)*unitRows, unitRows); err != nil { //nolint:gosec // a few units
		return err
	}
	_, err := w.Commit(w.mark(seq))
	return err
}

func (s *suite) sinkSession(ctx context.Context, p *strict.Process, config json.RawMessage) error {
	given := s.Config
	s.Config = config
	defer func() { s.Config = given }()
	w, _, err := s.begun(ctx, p, s.flow("session"), 1)
	if err != nil {
		return err
	}
	if err := w.unit(1); err != nil {
		w.Cancel()
		return err
	}
	return w.Close()
}

func (s *suite) sinkOpen(ctx context.Context, t *trial) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	flow := s.flow("open")
	var first sdk.Opened
	for i := range 2 {
		w, err := s.open(ctx, p, flow)
		if err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if i == 0 {
			first = s.sinkState.opened
		} else if diff := cmp.Diff(first, s.sinkState.opened); diff != "" {
			return seen("the same answer to Open again", "(-first +again)\n%s", diff)
		}
	}
	t.note("guarantee %s, preferred unit %d rows, %d bytes; dataset %s %s", first.Guarantee, first.PreferredRows, first.PreferredBytes,
		first.External.Namespace, first.External.Name)
	return nil
}

func (s *suite) sinkDryRun(ctx context.Context, t *trial) error {
	if err := s.noProbe(); err != nil {
		return err
	}
	return s.unchanged(ctx, "Open and PlanSchema", func() error {
		p, err := s.process(ctx)
		if err != nil {
			return err
		}
		w, err := s.open(ctx, p, s.flow("dry-run"))
		if err != nil {
			return err
		}
		actions, err := w.PlanSchema(changes(s.Inputs[:1], 1, s.Key)[0])
		if err != nil {
			w.Cancel()
			return err
		}
		for _, a := range actions {
			t.note("planned: %s: %s", a.Object, cut(a.Description, 160))
		}
		return w.Close()
	})
}

func (s *suite) sinkApplySchema(ctx context.Context, _ *trial) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	flow := s.flow("schema")
	for range 2 {
		w, err := s.open(ctx, p, flow)
		if err != nil {
			return err
		}
		for range 2 {
			if err := w.prepare(changes(s.Inputs[:1], 1, s.Key)[0]); err != nil {
				w.Cancel()
				return err
			}
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) sinkCommit(ctx context.Context, _ *trial) error {
	w, mark, err := s.sharedBegun(ctx, s.flow("commit"), 1)
	if err != nil {
		return err
	}
	defer w.Cancel()
	if mark.Seq != 0 || mark.Epoch != 0 {
		return seen("no mark of a flow that has not written yet", "%+v", mark)
	}
	for seq := range uint64(3) {
		if err := w.unit(seq + 1); err != nil {
			return fmt.Errorf("unit %d: %w", seq+1, err)
		}
	}
	if _, err := w.Commit(w.mark(4)); err != nil {
		return fmt.Errorf("a unit without rows: %w", err)
	}
	return w.Close()
}

func (s *suite) sinkStaged(ctx context.Context, _ *trial) error {
	if err := s.noProbe(); err != nil {
		return err
	}
	w, _, err := s.sharedBegun(ctx, s.flow("staged"), 1)
	if err != nil {
		return err
	}
	defer w.Cancel()
	err = s.unchanged(ctx, "what is written and not committed", func() error {
		_, err := w.write(0, unitRows)
		return err
	})
	if err != nil {
		return err
	}
	before, err := s.probe(ctx)
	if err != nil {
		return err
	}
	if _, err := w.Commit(w.mark(1)); err != nil {
		return err
	}
	after, err := s.probe(ctx)
	if err != nil {
		return err
	}
	if before == after {
		return seen("the probe to print something else after Commit", "the same: %s", quote(after))
	}
	return w.Close()
}
