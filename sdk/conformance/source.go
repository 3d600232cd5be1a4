package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// sourceChecks are the promises of sources.
func sourceChecks() []check {
	const read, late = "source.read", "source.ack.late"
	return []check{
		{id: "source.discover", promise: "It lists the same streams each time, with names and schemas that can be used.", run: (*suite).sourceDiscover},
		{id: read, promise: "It reads to the end: valid batches, each version's schema before its first batch, positions in JSON.", run: (*suite).sourceRead},
		{id: "source.covered", promise: "Every row and rejection is followed by a checkpoint.", needs: []string{read}, run: (*suite).sourceCovered},
		{id: late, promise: "Nothing is confirmed upstream before Ack: what was read and not acknowledged can be read again.", needs: []string{read}, run: (*suite).sourceAckLate},
		{id: "source.rejects", promise: "Rejections name stream, code and reason, and are the same each time.", needs: []string{late}, run: (*suite).sourceRejects},
		{id: "source.twice", promise: "The same input gives the same rows, in the same order per stream and origin.", needs: []string{late}, run: (*suite).sourceTwice},
		{id: "source.resume", promise: "From each checkpoint it goes on without a gap and without an overlap.", needs: []string{"source.covered", "source.twice"}, run: (*suite).sourceResume},
		{id: "source.kill", promise: "After SIGKILL in the middle it goes on from the last checkpoint.", needs: []string{"source.resume"}, run: (*suite).sourceKill},
		{id: "source.stop", promise: "After Stop it ends within five seconds, with a last checkpoint.", needs: []string{"source.resume"}, run: (*suite).sourceStop},
		{id: "source.follow", promise: "Following, it reads what is there, waits for more, and ends after Stop.", needs: []string{"source.covered", late}, run: (*suite).sourceFollow},
		{id: "source.cancel", promise: "When a read is cancelled it returns within a second.", needs: []string{late}, run: (*suite).sourceCancel},
		{id: "source.slow", promise: "A consumer that does not consume makes it wait, in bounded memory.", needs: []string{late}, run: (*suite).sourceSlow},
		{id: "source.position", promise: "A position that it never gave is refused with an error.", needs: []string{read}, run: (*suite).sourcePosition},
		{id: "source.ack", promise: "It takes the Ack of each position that it gave, again after a restart, and survives others.", needs: []string{late}, run: (*suite).sourceAck},
		{id: "source.provision", promise: "It provides what it plans to, once, and removes it again; planning changes nothing.", needs: []string{read}, run: (*suite).sourceProvision},
	}
}

// sourceState is what checks of sources share.
type sourceState struct {
	reference *recording // the first read
	again     *recording // a second one, after the first was killed without Ack
	made      bool       // what the source needs of its own was made by the suite
}

func (s *suite) ordered() bool { return !slices.Contains(s.component.GetAbilities(), "unordered") }
func (s *suite) acker() bool   { return slices.Contains(s.component.GetAbilities(), "acker") }

// sourceSession lists the streams and reads a little.
func (s *suite) sourceSession(ctx context.Context, p *strict.Process, config json.RawMessage) error {
	if _, err := p.Discover(ctx, config); err != nil {
		return err
	}
	given := s.Config
	s.Config = config
	defer func() { s.Config = given }()
	const few = 2000
	_, err := s.read(ctx, p, reading{rows: few})
	return err
}

func (s *suite) sourceDiscover(ctx context.Context, t *trial) error {
	shared, err := s.process(ctx)
	if err != nil {
		return err
	}
	first, err := shared.Discover(ctx, s.Config)
	if err != nil {
		return err
	}
	fresh, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer fresh.Close()
	var names []string
	for _, p := range []*strict.Process{shared, fresh} {
		again, err := p.Discover(ctx, s.Config)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(streamTexts(first), streamTexts(again)); diff != "" {
			return seen("the same streams again", "(-first +again)\n%s", diff)
		}
	}
	for _, stream := range first {
		names = append(names, stream.Name)
	}
	for _, wanted := range s.Streams {
		if !slices.Contains(names, wanted) {
			return seen(fmt.Sprintf("stream %q, which is to be read", wanted), "%v", names)
		}
	}
	t.note("%d streams: %s", len(names), cut(strings.Join(names, ", "), 200))
	return nil
}

func streamTexts(streams []sdk.Stream) []string {
	texts := make([]string, len(streams))
	for i, s := range streams {
		texts[i] = fmt.Sprintf("%+v", s)
	}
	return texts
}

// sourceRead is the read that others are compared with. Its process is killed afterwards: nothing of it has been acknowledged.
func (s *suite) sourceRead(ctx context.Context, t *trial) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := s.providedFirst(ctx, p); err != nil {
		return err
	}
	before, err := s.probe(ctx)
	if err != nil {
		return err
	}
	got, err := s.read(ctx, p, reading{rows: s.MaxRows})
	if err != nil {
		return err
	}
	p.Kill()
	after, err := s.probe(ctx)
	if err != nil {
		return err
	}
	if got.total() == 0 && len(got.rejected) == 0 {
		return seen("rows, to check something with", "none: give settings with which there is something to read")
	}
	s.sourceState.reference = got
	if before != after {
		return seen("a read without Ack changes nothing outside", "the probe printed %s before and %s after", quote(before), quote(after))
	}
	var parts []string
	for _, stream := range slices.Sorted(maps.Keys(got.rows)) {
		parts = append(parts, fmt.Sprintf("%s %d", stream, len(got.rows[stream])))
	}
	how := "to the end"
	if !got.ended {
		how = "until it was stopped"
	}
	t.note("read %s: rows %s (%s), %d rejections, %d checkpoints", how, cut(strings.Join(parts, ", "), 200), mib(got.bytes), len(got.rejected), len(got.marks))
	return nil
}

func (s *suite) sourceCovered(context.Context, *trial) error {
	ref := s.sourceState.reference
	if len(ref.marks) == 0 {
		return seen("at least one checkpoint", "none")
	}
	if ref.since > 0 {
		return seen("a checkpoint after the last row", "%d rows and rejections after the last of %d checkpoints", ref.since, len(ref.marks))
	}
	return nil
}

func (s *suite) sourceRejects(ctx context.Context, t *trial) error {
	ref := s.sourceState.reference
	if len(ref.rejected) == 0 {
		return skip("", "nothing was rejected with these settings")
	}
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	again, err := s.read(ctx, p, reading{rows: s.MaxRows})
	if err != nil {
		return err
	}
	if missing, extra := difference(ref.rejected, again.rejected); missing+extra > 0 && ref.ended && again.ended {
		return seen("the same rejections again", "%d are missing, %d are new", missing, extra)
	}
	t.note("codes: %v", ref.codes)
	return nil
}

// sourceAckLate reads from the beginning after a process was killed that had read everything. A source that confirms as it reads,
// or deletes, has less to give then.
func (s *suite) sourceAckLate(ctx context.Context, _ *trial) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	const expected = "all rows again, as nothing was acknowledged"
	again, err := s.read(ctx, p, reading{rows: s.MaxRows})
	if err != nil {
		return seen(expected, "%v", err)
	}
	s.sourceState.again = again
	for stream, rows := range s.sourceState.reference.rows {
		missing, extra := difference(values(rows), values(again.rows[stream]))
		if missing > 0 && extra == 0 && again.ended {
			return seen(expected, "%d of %d rows of stream %q are gone", missing, len(rows), stream)
		}
	}
	return nil
}

func (s *suite) sourceTwice(_ context.Context, t *trial) error {
	if text := s.sourceState.reference.differs(s.sourceState.again, s.ordered()); text != "" {
		return seen("the rows of the first read", "%s", text)
	}
	if !s.ordered() {
		t.note("it says that its rows come in another order each time: they were compared without order")
	}
	return nil
}

// The most checkpoints that are tried.
const (
	fewMarks  = 10
	manyMarks = 50
)

func (s *suite) sourceResume(ctx context.Context, t *trial) error {
	marks := s.sourceState.reference.marks
	most := fewMarks
	if s.Slow {
		most = manyMarks
	}
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	tried := 0
	for i := range marks {
		if len(marks) > most && i != len(marks)-1 && i*most/len(marks) == (i-1)*most/len(marks) && i != 0 {
			continue
		}
		tried++
		if err := s.resumed(ctx, p, i); err != nil {
			return err
		}
	}
	t.note("tried %d of %d checkpoints", tried, len(marks))
	return nil
}

// resumed reads from a checkpoint of the reference.
func (s *suite) resumed(ctx context.Context, p *strict.Process, i int) error {
	m := s.sourceState.reference.marks[i]
	want := s.sourceState.reference.after(m)
	expected := fmt.Sprintf("from checkpoint %d of %d, %s, the %d rows behind it", i+1, len(s.sourceState.reference.marks), quote(string(m.position)), want.total())
	request := reading{request: strict.ReadRequest{Position: m.position}}
	if !want.ended {
		request.enough = want.coveredBy
	}
	got, err := s.read(ctx, p, request)
	if err != nil {
		return seen(expected, "%v", err)
	}
	if text := want.differs(got, s.ordered()); text != "" {
		return seen(expected, "%s", text)
	}
	return nil
}

// coveredBy says whether a recording has as many rows of each stream.
func (r *recording) coveredBy(other *recording) bool {
	for stream, rows := range r.rows {
		if len(other.rows[stream]) < len(rows) {
			return false
		}
	}
	return true
}

func quote(text string) string { return fmt.Sprintf("%.200q", text) }

// sourceKill kills a process in the middle of a read and goes on in another.
func (s *suite) sourceKill(ctx context.Context, t *trial) error {
	ref := s.sourceState.reference
	victim, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer victim.Close()
	source, err := s.reads(ctx, victim, strict.ReadRequest{})
	if err != nil {
		return err
	}
	defer source.Cancel()
	half := len(ref.marks) / 2
	got := newRecording()
	for len(got.marks) <= half || got.since == 0 {
		event, err := source.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := got.take(event); err != nil {
			return err
		}
	}
	victim.Kill()
	if len(got.marks) == 0 {
		return seen("a checkpoint before the end", "none")
	}
	last := got.marks[len(got.marks)-1]
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	want := got.joined(ref, last)
	rest, err := s.read(ctx, p, reading{request: strict.ReadRequest{Position: last.position}, enough: want.coveredByOrEnd(ref)})
	if err != nil {
		return seen("the rest from position "+quote(string(last.position)), "%v", err)
	}
	if text := want.differs(rest, s.ordered()); text != "" {
		return seen("the rows behind the last checkpoint of the killed process", "%s", text)
	}
	t.note("killed after %d rows, %d of them behind the last checkpoint", got.total(), got.since)
	return nil
}

// joined is what of a reference lies behind a mark of this recording: rows of the reference without those before the mark.
func (r *recording) joined(ref *recording, m mark) *recording {
	rest := newRecording()
	rest.ended = ref.ended
	for stream, rows := range ref.rows {
		before := map[row]int{}
		for _, one := range r.rows[stream][:m.rows[stream]] {
			before[one]++
		}
		for _, one := range rows {
			if before[one] > 0 {
				before[one]--
				continue
			}
			rest.rows[stream] = append(rest.rows[stream], one)
		}
	}
	gone := bag(r.rejected[:m.rejected])
	for _, one := range ref.rejected {
		if gone[one] > 0 {
			gone[one]--
			continue
		}
		rest.rejected = append(rest.rejected, one)
	}
	return rest
}

// coveredByOrEnd is nil for a source that ends by itself.
func (r *recording) coveredByOrEnd(ref *recording) func(*recording) bool {
	if ref.ended {
		return nil
	}
	return r.coveredBy
}

const stopLimit = 5 * time.Second
