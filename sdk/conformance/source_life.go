package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// sourceStop asks a read to come to an end at its first batch, and goes on from where it did.
func (s *suite) sourceStop(ctx context.Context, t *trial) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	var asked time.Time
	got, err := s.read(ctx, p, reading{enough: func(r *recording) bool {
		enough := r.total() > 0
		if enough && asked.IsZero() {
			asked = time.Now()
		}
		return enough
	}})
	if err != nil {
		return err
	}
	took := time.Since(asked)
	if took > s.limit(stopLimit) {
		return seen("the end within "+s.limit(stopLimit).String(), "it took %v", took)
	}
	if got.since > 0 || len(got.marks) == 0 {
		return seen("a last checkpoint behind all rows", "%d rows behind the last of %d checkpoints", got.since, len(got.marks))
	}
	ref := s.sourceState.reference
	last := got.marks[len(got.marks)-1]
	want := got.joined(ref, last)
	rest, err := s.read(ctx, p, reading{request: strict.ReadRequest{Position: last.position}, enough: want.coveredByOrEnd(ref)})
	if err != nil {
		return err
	}
	if text := want.differs(rest, s.ordered()); text != "" {
		return seen("the rows that were left when it was stopped", "%s", text)
	}
	t.note("ended %v after Stop, with %d rows of %d", took.Round(time.Millisecond), got.total(), ref.total())
	return nil
}

// followPause is how long a source that follows is watched for ending by itself.
const followPause = 400 * time.Millisecond

func (s *suite) sourceFollow(ctx context.Context, t *trial) error {
	ref := s.sourceState.reference
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	source, err := s.reads(ctx, p, strict.ReadRequest{Follow: true})
	if err != nil {
		return err
	}
	defer source.Cancel()
	got := newRecording()
	for !ref.coveredBy(got) || ref.ended && got.since > 0 {
		event, err := source.Next()
		if errors.Is(err, io.EOF) {
			return seen("to wait for more at the end of input", "it ended after %d rows", got.total())
		}
		if err != nil {
			return fmt.Errorf("after %d of %d rows, %d of them behind the last checkpoint: %w", got.total(), ref.total(), got.since, err)
		}
		if err := got.take(event); err != nil {
			return err
		}
	}
	err = s.followed(t, source, got)
	if err != nil {
		return err
	}
	return source.Close()
}

// followed watches a source that has read all there is: it must wait until it is stopped.
func (s *suite) followed(t *trial, source *strict.Read, got *recording) error {
	asked := time.Now().Add(followPause)
	timer := time.AfterFunc(followPause, func() { _ = source.Stop() }) // a broken stream is found by drain
	defer timer.Stop()
	late := after(followPause+s.limit(stopLimit), source.Interrupt)
	err := s.drain(got, source, reading{})
	switch {
	case late():
		return seen("the end within "+s.limit(stopLimit).String()+" of Stop", "it went on waiting")
	case err != nil:
		return err
	case time.Now().Before(asked):
		return seen("to wait for more at the end of input", "it ended by itself")
	case got.since > 0:
		return seen("a last checkpoint behind all rows", "%d rows behind it", got.since)
	}
	t.note("waited for more and ended %v after Stop", time.Since(asked).Round(time.Millisecond))
	return nil
}

// sourceCancel cancels one read that nobody takes anything from, and one that waits for more.
func (s *suite) sourceCancel(ctx context.Context, t *trial) error {
	return s.cancelled(ctx, t, "Read", func(p *strict.Process) (func(), error) {
		busy, err := s.reads(ctx, p, strict.ReadRequest{})
		if err != nil {
			return nil, err
		}
		for {
			event, err := busy.Next()
			if err != nil || event.Batch != nil {
				break
			}
		}
		busy.Cancel() // before the next: some systems have one reader at a time
		idle, err := s.reads(ctx, p, strict.ReadRequest{Follow: true})
		if err != nil {
			return nil, err
		}
		if _, err := idle.Next(); err != nil {
			return nil, err
		}
		return idle.Cancel, nil
	})
}

// The consumer that does not consume.
const (
	leastData  = 48 << 20
	shortStall = 2 * time.Second
	longStall  = 10 * time.Second
)

// sourceSlow takes a little and then nothing for a while. What the connection holds by design is 16 MiB.
func (s *suite) sourceSlow(ctx context.Context, t *trial) error {
	ref := s.sourceState.reference
	if ref.ended && ref.bytes < leastData {
		return skip("a source that buffers without bound may exhaust the machine's memory",
			"there are %s to read, less than the %s that tell waiting from buffering: give settings with more", mib(ref.bytes), mib(leastData))
	}
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	source, err := s.reads(ctx, p, strict.ReadRequest{})
	if err != nil {
		return err
	}
	defer source.Cancel()
	const frames = 6
	got := newRecording()
	for range frames {
		event, err := source.Next()
		if err != nil {
			return err
		}
		if err := got.take(event); err != nil {
			return err
		}
	}
	return s.stalled(ctx, t, p)
}

// stalled watches the memory of a process that nobody takes anything from.
func (s *suite) stalled(ctx context.Context, t *trial, p *strict.Process) error {
	before, err := p.Usage()
	if err != nil {
		return alive(p, "the first frames")
	}
	most := before.Resident
	stall := shortStall
	if s.Slow {
		stall = longStall
	}
	for begun := time.Now(); time.Since(begun) < stall; {
		pause(ctx, 50*time.Millisecond)
		now, err := p.Usage()
		if err != nil {
			return alive(p, "a while in which nothing was taken from it")
		}
		most = max(most, now.Resident)
		if most-before.Resident > s.MemoryGrowth {
			return seen(fmt.Sprintf("at most %s more memory while nothing is taken", mib(s.MemoryGrowth)), "%s more after %v", mib(most-before.Resident), time.Since(begun).Round(time.Millisecond))
		}
	}
	t.note("%s when the consumer stopped, at most %s in the %v after", mib(before.Resident), mib(most), stall)
	return nil
}

// sourcePosition gives positions that no source gives. JSON objects with known keys are beyond what a suite can make up.
func (s *suite) sourcePosition(ctx context.Context, _ *trial) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	for _, position := range []string{`"qanat conformance"`, `{"qanat_conformance":["garbage"]}`, `[[]]`, `-1.5`} {
		_, err := s.read(ctx, p, reading{request: strict.ReadRequest{Position: sdk.Position(position)}, rows: 1})
		expected := "an error about position " + position
		switch {
		case err == nil:
			return seen(expected, "it was taken, and rows were read")
		case !strict.Reported(err):
			return seen(expected, "%v", err)
		}
		if err := alive(p, "position "+position); err != nil {
			return err
		}
	}
	return nil
}

// sourceAck comes last, as what is acknowledged may be gone.
func (s *suite) sourceAck(ctx context.Context, t *trial) error {
	if !s.acker() {
		return skip("", "it has nothing to confirm upstream (no Acker)")
	}
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	last, err := s.acknowledged(ctx, p)
	if err != nil {
		return err
	}
	after := strict.ReadRequest{Position: last, Acked: last}
	if _, err := s.read(ctx, p, reading{request: after, enough: func(r *recording) bool { return r.total() > 0 }}); err != nil {
		return seen("to go on from the acknowledged position "+quote(string(last)), "%v", err)
	}
	source, err := s.reads(ctx, p, strict.ReadRequest{Position: last})
	if err != nil {
		return err
	}
	if err := source.Ack(json.RawMessage(`{"qanat_conformance":["garbage"]}`)); err != nil {
		return err
	}
	if err := s.drain(newRecording(), source, reading{enough: func(r *recording) bool { return r.total() > 0 }}); err != nil && !strict.Reported(err) {
		return seen("to survive the Ack of a position that it never gave", "%v", err)
	}
	source.Cancel()
	t.note("acknowledged up to %s", quote(string(last)))
	return alive(p, "the Ack of a position that it never gave")
}

// acknowledged reads and acknowledges each checkpoint, and returns the last.
func (s *suite) acknowledged(ctx context.Context, p *strict.Process) (sdk.Position, error) {
	source, err := s.reads(ctx, p, strict.ReadRequest{})
	if err != nil {
		return nil, err
	}
	got, acked := newRecording(), 0
	err = s.drain(got, source, reading{enough: func(r *recording) bool {
		for ; acked < len(r.marks); acked++ {
			_ = source.Ack(r.marks[acked].position) // if the stream has ended, the next event says so
		}
		return int64(r.total()) >= s.MaxRows
	}})
	if err != nil {
		source.Cancel()
		return nil, err
	}
	if err := source.Close(); err != nil {
		return nil, err
	}
	if len(got.marks) == 0 {
		return nil, seen("a checkpoint", "none")
	}
	return got.marks[len(got.marks)-1].position, nil
}
