package conformance

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/sample"
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

// marked skips what a sink without marks can't promise.
func (s *suite) marked() error {
	switch s.sinkState.opened.Guarantee {
	case sdk.AtLeastOnce:
		return skip("after a crash a unit may be delivered twice", "it says at_least_once: it keeps no mark with its data")
	case sdk.EffectivelyOnce:
		return skip("after a crash a unit may be written twice, which the key makes good", "it says effectively_once: it keeps no mark with its data")
	case sdk.ExactlyOnce:
	}
	return nil
}

// sinkMark commits, kills the process, and asks another for the mark.
func (s *suite) sinkMark(ctx context.Context, _ *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	flow := s.flow("mark")
	victim, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer victim.Close()
	w, _, err := s.begun(ctx, victim, flow, 3)
	if err != nil {
		return err
	}
	defer w.Cancel()
	for seq := range uint64(2) {
		if err := w.unit(seq + 1); err != nil {
			return err
		}
	}
	victim.Kill()
	return s.returns(ctx, flow, 4, w.mark(2))
}

// returns expects a mark from a new instance's Begin.
func (s *suite) returns(ctx context.Context, flow string, epoch uint64, want sdk.Mark) error {
	w, got, err := s.sharedBegun(ctx, flow, epoch)
	if err != nil {
		return err
	}
	if got.Epoch != want.Epoch || got.Seq != want.Seq || !sameJSON(got.Position, want.Position) {
		w.Cancel()
		return seen("the mark "+markText(want), "%s", markText(got))
	}
	return w.Close()
}

func markText(m sdk.Mark) string {
	return fmt.Sprintf("epoch %d, seq %d, position %s", m.Epoch, m.Seq, m.Position)
}

func sameJSON(a, b []byte) bool {
	var left, right any
	if json.Unmarshal(a, &left) != nil || json.Unmarshal(b, &right) != nil {
		return string(a) == string(b)
	}
	return cmp.Equal(left, right)
}

// sinkRepeat repeats a Commit in the same instance, and with the rows written again in a new one.
func (s *suite) sinkRepeat(ctx context.Context, t *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	flow := s.flow("repeat")
	w, _, err := s.sharedBegun(ctx, flow, 1)
	if err != nil {
		return err
	}
	defer w.Cancel()
	if _, err := w.write(0, unitRows); err != nil {
		return err
	}
	first, err := w.Commit(w.mark(1))
	if err != nil {
		return err
	}
	err = s.unchanged(ctx, "a Commit that is repeated", func() error {
		again, err := w.Commit(w.mark(1))
		if err == nil && !cmp.Equal(first, again) {
			err = seen("the rejections of the first time", "%v instead of %v", again, first)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := w.write(2*unitRows, unitRows); err != nil {
		return fmt.Errorf("the unit after a repeated Commit: %w", err)
	}
	second, err := w.Commit(w.mark(2))
	if err != nil {
		return fmt.Errorf("the unit after a repeated Commit: %w", err)
	}
	if err := w.Close(); err != nil {
		return err
	}
	if s.Probe == "" {
		t.note("without --probe nobody has looked whether the repeated Commit has written rows again")
	}
	return s.repeatedLater(ctx, flow, second)
}

// repeatedLater writes and commits the last unit again in a new instance, as a runtime does that has not heard of its Commit.
func (s *suite) repeatedLater(ctx context.Context, flow string, before []sdk.Rejection) error {
	w, mark, err := s.sharedBegun(ctx, flow, 2)
	if err != nil {
		return err
	}
	defer w.Cancel()
	if mark.Seq != 2 {
		return seen("the mark of unit 2", "%s", markText(mark))
	}
	err = s.unchanged(ctx, "a Commit that a new instance repeats with the rows written again", func() error {
		if _, err := w.write(2*unitRows, unitRows); err != nil {
			return err
		}
		again, err := w.Commit(w.mark(2))
		if err == nil && !cmp.Equal(before, again) {
			err = seen("the rejections of the first time, also from a new instance", "%v instead of %v", again, before)
		}
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}

func (s *suite) sinkKill(ctx context.Context, t *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	if s.Probe == "" {
		t.note("without --probe only the mark was looked at")
	}
	flow := s.flow("kill")
	victim, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer victim.Close()
	w, _, err := s.begun(ctx, victim, flow, 1)
	if err != nil {
		return err
	}
	defer w.Cancel()
	if err := w.unit(1); err != nil {
		return err
	}
	err = s.unchanged(ctx, "a unit whose writer was killed before its Commit", func() error {
		if _, err := w.write(unitRows, unitRows); err != nil {
			return err
		}
		victim.Kill()
		return s.returns(ctx, flow, 2, w.mark(1))
	})
	if err != nil {
		return err
	}
	return s.afterKill(ctx, flow)
}

// afterKill commits nothing, by which nothing of the killed writer may appear, and then the unit.
func (s *suite) afterKill(ctx context.Context, flow string) error {
	next, _, err := s.sharedBegun(ctx, flow, 3)
	if err != nil {
		return err
	}
	defer next.Cancel()
	if s.Mode != sdk.Overwrite { // where a unit without rows leaves nothing
		err = s.unchanged(ctx, "a unit without rows, after one that was written and never committed", func() error {
			_, err := next.Commit(next.mark(2))
			return err
		})
	}
	if err != nil {
		return err
	}
	if err := next.unit(3); err != nil {
		return fmt.Errorf("the unit written again: %w", err)
	}
	return next.Close()
}

// fenced expects an error of that kind.
func fenced(err error, what string) error {
	switch {
	case err == nil:
		return seen(what+" is refused as fenced", "it was done")
	case !strict.Reported(err):
		return err
	case sdk.KindOf(err) != sdk.KindFenced:
		return seen(what+" is refused as fenced (sdk.Fenced)", "an error of another kind: %v", err)
	}
	return nil
}

func (s *suite) sinkFenceBegin(ctx context.Context, _ *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	flow := s.flow("fence-begin")
	w, _, err := s.sharedBegun(ctx, flow, 8)
	if err != nil {
		return err
	}
	defer w.Cancel()
	older, _, err := s.sharedBegun(ctx, flow, 7)
	if err == nil {
		older.Cancel()
	}
	if err := fenced(err, "Begin with epoch 7 after one with epoch 8"); err != nil {
		return err
	}
	if err := w.unit(1); err != nil {
		return fmt.Errorf("the instance of the newer epoch: %w", err)
	}
	return w.Close()
}

func (s *suite) sinkFenceCommit(ctx context.Context, _ *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	return s.overtaken(ctx, s.flow("fence-commit"), 5, 6)
}

func (s *suite) sinkFenceTwin(ctx context.Context, _ *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	return s.overtaken(ctx, s.flow("fence-twin"), 5, 5)
}

// overtaken begins a second instance while a first has rows staged, in a process of its own as two runners have them.
func (s *suite) overtaken(ctx context.Context, flow string, epoch, newer uint64) error {
	slow, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer slow.Close()
	old, _, err := s.begun(ctx, slow, flow, epoch)
	if err != nil {
		return err
	}
	defer old.Cancel()
	if _, err := old.write(0, unitRows); err != nil {
		return err
	}
	w, _, err := s.sharedBegun(ctx, flow, newer)
	if err != nil {
		return err
	}
	defer w.Cancel()
	what := fmt.Sprintf("Commit of epoch %d after another instance's Begin with epoch %d", epoch, newer)
	err = s.unchanged(ctx, what, func() error {
		_, err := old.Commit(old.mark(1))
		return fenced(err, what)
	})
	if err != nil {
		return err
	}
	if err := w.unit(1); err != nil {
		return fmt.Errorf("the instance that has taken over: %w", err)
	}
	return w.Close()
}

func (s *suite) sinkRejects(ctx context.Context, t *trial) error {
	w, _, err := s.sharedBegun(ctx, s.flow("rejects"), 1)
	if err != nil {
		return err
	}
	defer w.Cancel()
	rejections, err := w.write(0, 10*unitRows)
	if err != nil {
		return err
	}
	more, err := w.Commit(w.mark(1))
	if err != nil {
		return err
	}
	if rejections = append(rejections, more...); len(rejections) == 0 {
		return skip("", "nothing was rejected of this data")
	}
	t.note("%d of %d rows were rejected, the first with code %s: %s", len(rejections), 10*unitRows, rejections[0].Code, cut(rejections[0].Reason, 120))
	return w.Close()
}

// wrote sends a batch as a unit of a flow of its own.
func (s *suite) wrote(ctx context.Context, p *strict.Process, in sample.Input, b sdk.Batch) error {
	w, err := s.open(ctx, p, s.flow("data"))
	if err != nil {
		return err
	}
	defer w.Cancel()
	if err := w.prepare(changes([]sample.Input{in}, b.Version, s.Key)[0]); err != nil {
		return err
	}
	w.epoch = 1
	if _, err := w.Begin(1); err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	if _, err := w.Commit(w.mark(1)); err != nil {
		return err
	}
	return w.Close()
}

func (s *suite) sinkTypes(ctx context.Context, t *trial) error {
	t.note("what was written is not read back here")
	return s.eachType(ctx, t, func(p *strict.Process, c sample.Column) error {
		in := s.withType(c)[0]
		record, err := in.Rows(s.Seed, 0, unitRows)
		if err != nil {
			return err
		}
		defer record.Release()
		return s.wrote(ctx, p, in, sdk.Batch{Stream: in.Name, Version: 1, Record: record})
	})
}
