package conformance

import (
	"context"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

func (s *suite) provisioner() bool { return slices.Contains(s.component.GetAbilities(), "provisioner") }

// reads begins a read as the runtime does: what the source needs of its own is provided first.
func (s *suite) reads(ctx context.Context, p *strict.Process, req strict.ReadRequest) (*strict.Read, error) {
	if err := s.providedFirst(ctx, p); err != nil {
		return nil, err
	}
	req.Streams = s.Streams
	return p.Read(ctx, s.Config, req)
}

func (s *suite) providedFirst(ctx context.Context, p *strict.Process) error {
	if !s.provisioner() {
		return nil
	}
	done, err := s.provision(ctx, p, sdk.ProvisionRequest{}, carryOut)
	s.sourceState.made = s.sourceState.made || len(done) > 0
	return err
}

// The two ways to call Provision.
const (
	dryRun   = true
	carryOut = false
)

// provision calls it again while the source says that it may succeed later: who used a slot a moment ago may not have let it go.
func (s *suite) provision(ctx context.Context, p *strict.Process, req sdk.ProvisionRequest, dry bool) ([]sdk.Action, error) {
	const patience, between = 10 * time.Second, 100 * time.Millisecond
	req.Streams = s.Streams
	for begun := time.Now(); ; {
		actions, err := p.Provision(ctx, s.Config, req, dry)
		if sdk.KindOf(err) != sdk.KindRetryable || time.Since(begun) > s.limit(patience) || ctx.Err() != nil {
			return actions, err
		}
		pause(ctx, between)
	}
}

// sourceProvision comes behind all reads: what they have made is removed, made again, and removed.
func (s *suite) sourceProvision(ctx context.Context, t *trial) error {
	if !s.provisioner() {
		return skip("", "it needs nothing of its own in the other system (no Provisioner)")
	}
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	if !s.sourceState.made {
		t.note("all that it needs was there before: removing it was not tried, as it may be somebody's")
		_, err := s.provided(ctx, p, sdk.ProvisionRequest{})
		return err
	}
	for _, remove := range []bool{true, false, true} {
		done, err := s.provided(ctx, p, sdk.ProvisionRequest{Remove: remove})
		if err != nil {
			return err
		}
		for _, a := range done {
			t.note("%s: %s", a.Object, cut(a.Description, 200))
		}
	}
	return nil
}

// provided plans, carries out and repeats, and returns what was done.
func (s *suite) provided(ctx context.Context, p *strict.Process, req sdk.ProvisionRequest) ([]sdk.Action, error) {
	what := "providing"
	if req.Remove {
		what = "removing"
	}
	before, err := s.probe(ctx)
	if err != nil {
		return nil, err
	}
	planned, err := s.provision(ctx, p, req, dryRun)
	if err != nil {
		return nil, err
	}
	again, err := s.provision(ctx, p, req, dryRun)
	if err != nil {
		return nil, err
	}
	if diff := cmp.Diff(planned, again); diff != "" {
		return nil, seen("the same plan for "+what+" again, as planning changes nothing", "(-first +again)\n%s", diff)
	}
	after, err := s.probe(ctx)
	if err != nil {
		return nil, err
	}
	if before != after {
		return nil, seen("planning changes nothing outside", "the probe printed %s before and %s after", quote(before), quote(after))
	}
	if len(planned) == 0 && s.sourceState.made {
		return nil, seen("a plan for "+what+" what it needs", "nothing to be done")
	}
	done, err := s.provision(ctx, p, req, carryOut)
	if err != nil {
		return nil, err
	}
	for _, a := range done {
		if !slices.Contains(planned, a) {
			return nil, seen("what was planned for "+what, "it did this besides: %s: %s", a.Object, a.Description)
		}
	}
	return done, s.nothingLeft(ctx, p, req, what, done)
}

// nothingLeft repeats what was done. What reads make may still be planned; what was done may not.
func (s *suite) nothingLeft(ctx context.Context, p *strict.Process, req sdk.ProvisionRequest, what string, done []sdk.Action) error {
	left, err := s.provision(ctx, p, req, dryRun)
	if err != nil {
		return err
	}
	for _, a := range left {
		if req.Remove || slices.Contains(done, a) {
			return seen("nothing left to be done after "+what, "%s: %s", a.Object, a.Description)
		}
	}
	repeated, err := s.provision(ctx, p, req, carryOut)
	if err != nil {
		return err
	}
	if len(repeated) > 0 {
		return seen("nothing done when "+what+" is repeated", "%s: %s", repeated[0].Object, repeated[0].Description)
	}
	return nil
}
