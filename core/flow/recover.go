package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/sdk"
)

// standing is where a flow stands after it was taken over.
type standing struct {
	epoch uint64
	last  ledger.Unit // the newest ledger row; zero if there is none
	chain []unitAt    // closed units in the log that follow it, complete, in order
	// decided is a held unit that people have decided about, which the session is to carry out; nil if there is none.
	decided *ledger.HeldUnit
	live    uint64 // log sequence of the takeover frame: what this runner writes lies behind it
	writer  *broker.Publisher
}

// next is the seq of the first unit that this runner opens.
func (s *standing) next() int64 { return s.last.Seq + int64(len(s.chain)) + 1 }

// position is where the reader goes on from.
func (s *standing) position() sdk.Position {
	if n := len(s.chain); n > 0 {
		return s.chain[n-1].Position
	}
	return s.last.Position
}

// takeOver makes the flow this runner's: first the epoch, so that an older runner's ledger row is refused, then a frame in the
// log, so that its publishes are, and only then is read what there is. Datasets and sink are fenced by the target's prepare.
func takeOver(ctx context.Context, s *Settings, r *Runtime, log *broker.Log, claim tenure.Claim) (*standing, error) {
	controls, err := log.Controls(ctx, 0)
	if err != nil {
		return nil, err
	}
	var newest uint64
	for _, m := range controls {
		newest = max(newest, m.Epoch)
	}
	killpoint.Here("before-epoch")
	epoch, err := claim(ctx, newest)
	if err != nil {
		return nil, err
	}
	killpoint.Here("after-epoch") // and before the takeover frame
	at := &standing{epoch: epoch}
	if at.writer, err = log.Publisher(ctx, epoch); err != nil {
		return nil, err
	}
	if err := at.fenceLog(ctx, r.Owner); err != nil {
		at.writer.Close()
		return nil, err
	}
	killpoint.Here("after-takeover-frame")
	if err := at.look(ctx, s, r, log); err != nil {
		at.writer.Close()
		return nil, err
	}
	killpoint.Here("after-look")
	return at, nil
}

func (s *standing) fenceLog(ctx context.Context, owner string) error {
	frame, err := controlFrame(frameTakeover, map[string]string{"owner": owner})
	if err != nil {
		return err
	}
	if _, err := s.writer.Publish(ctx, frame); err != nil {
		return err
	}
	s.live, err = s.writer.Flush(ctx)
	return err
}

// look reads ledger and log: which units are committed, and which closed ones follow.
func (s *standing) look(ctx context.Context, settings *Settings, r *Runtime, log *broker.Log) error {
	last, found, err := r.Ledger.Last(ctx, settings.Name)
	if err != nil {
		return err
	}
	if found {
		s.last = last
	}
	controls, err := log.Controls(ctx, 0)
	if err != nil {
		return err
	}
	for _, m := range controls {
		if m.Torn || m.Header[keyKind] != frameClose {
			continue
		}
		frame, err := parseClose(m)
		if err != nil {
			return err
		}
		void := s.last.Verdict == ledger.Void && m.Last <= s.last.LogEnd // read from behind a unit that is read again
		if frame.Seq <= s.last.Seq || void {
			continue
		}
		if frame.First == 0 { // a unit without rows is its close frame
			frame.First = m.First
		}
		if frame.Seq != s.last.Seq+int64(len(s.chain))+1 {
			return fmt.Errorf("flow %q: the log closes unit %d at sequence %d, expected unit %d", settings.Name, frame.Seq, m.First, s.next())
		}
		s.chain = append(s.chain, unitAt{closeFrame: frame, last: m.Last})
	}
	return s.awaited(ctx, settings, r)
}

// complete says whether all frames of the first unit of the chain are still in the log. Purges take from the front, so the later
// ones are complete, too.
func (s *standing) complete(ctx context.Context, log *broker.Log) (bool, error) {
	if len(s.chain) == 0 {
		return true, nil
	}
	r, err := log.Read(ctx, s.chain[0].First)
	if err != nil {
		return false, err
	}
	defer r.Close()
	m, err := r.Next(ctx)
	if _, gone := errors.AsType[*broker.GapError](err); gone {
		return false, nil
	}
	return err == nil && !m.Torn && m.First == s.chain[0].First, err
}
