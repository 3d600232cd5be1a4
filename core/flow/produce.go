package flow

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/sdk"
)

// stageDepth is how many items may wait between two stages.
const stageDepth = 2

// stage turns items into items until its input is closed.
type stage func(ctx context.Context, in <-chan item, out chan<- item) error

// producer is the producing half of a flow: from the reader to the log.
type producer struct {
	settings *Settings
	runtime  *Runtime
	reader   reader
	stages   []stage
	closers  []func() error
	stopOnce sync.Once
}

// newProducer starts the flow's plugins. The caller closes it.
func newProducer(ctx context.Context, s *Settings, r *Runtime, at, acked sdk.Position) (*producer, error) {
	p := &producer{settings: s, runtime: r}
	if err := p.start(ctx, at, acked); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *producer) start(ctx context.Context, at, acked sdk.Position) error {
	if err := p.startReader(ctx, at, acked); err != nil {
		return err
	}
	names := p.settings.transformSteps()
	for i, step := range p.settings.Transforms {
		process, err := p.runtime.Plugins.Transform(ctx, step.Instance)
		if err != nil {
			return err
		}
		p.closers = append(p.closers, process.Close)
		p.add(newTransformer(step, names[i], process))
	}
	if err := p.startChecks(ctx); err != nil {
		return err
	}
	// Policies decide here, between checks and log, so that nothing they forbid enters the log.
	if p.settings.Target.Sink == nil {
		p.stages = append(p.stages, newShaper(p.settings.Target, p.runtime).run)
	}
	return nil
}

func (p *producer) add(w worker) {
	p.stages = append(p.stages, func(ctx context.Context, in <-chan item, out chan<- item) error { return work(ctx, w, in, out) })
}

func (p *producer) startReader(ctx context.Context, at, acked sdk.Position) error {
	if p.settings.Replay != nil {
		replay, err := newReplayReader(p.settings, p.runtime, at)
		if err != nil {
			return err
		}
		p.reader = replay
		return nil
	}
	if p.settings.Redrive != nil {
		rows, err := newQuarantineReader(p.settings, p.runtime)
		if err != nil {
			return err
		}
		p.reader = rows
		return nil
	}
	if p.settings.Datasets != nil {
		datasets, err := newDatasetReader(p.settings, p.runtime, at)
		if err != nil {
			return err
		}
		p.reader = datasets
		return nil
	}
	source := p.settings.Source
	if err := p.provision(ctx, source); err != nil {
		return err
	}
	process, err := p.runtime.Plugins.Read(ctx, source.Instance, pluginhost.ReadRequest{
		Streams: source.Streams, Position: at, Follow: source.Follow, Acked: acked,
	})
	if err != nil {
		return err
	}
	p.reader = &sourceReader{process: process}
	return nil
}

// provision makes what the source needs in its own system.
func (p *producer) provision(ctx context.Context, source *SourceSettings) error {
	if !source.Provisions {
		return nil
	}
	done, err := p.runtime.Plugins.Provision(ctx, source.Instance, sdk.ProvisionRequest{Streams: source.Streams}, false)
	for _, action := range done {
		p.runtime.Log.Info("provisioned", "flow", p.settings.Name, "object", action.Object, "action", action.Description)
	}
	return err
}

func (p *producer) startChecks(ctx context.Context) error {
	if len(p.settings.Checks) == 0 {
		return nil
	}
	var running []runningCheck
	for _, step := range p.settings.Checks {
		process, err := p.runtime.Plugins.Check(ctx, step.Instance)
		if err != nil {
			return err
		}
		p.closers = append(p.closers, process.Close)
		running = append(running, runningCheck{CheckStep: step, process: process})
	}
	p.add(newChecker(running, p.runtime.Alloc))
	return nil
}

// run produces units from seq next on until the end of input.
func (p *producer) run(ctx context.Context, log *broker.Publisher, next int64, at sdk.Position) error {
	whole, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	group, ctx := errgroup.WithContext(whole)
	publish := newPublisher(log, next, p.settings.made())
	first := make(chan item, stageDepth)
	group.Go(func() error {
		defer close(first)
		return newIntake(p.settings, p.runtime.Progress, at).run(ctx, p.reader, first)
	})
	last := first
	for _, s := range p.stages {
		in, out := last, make(chan item, stageDepth)
		last = out
		group.Go(func() error {
			err := s(ctx, in, out)
			close(out)
			return leave(err, in, cancel)
		})
	}
	end := last
	group.Go(func() error { return leave(publish.run(ctx, end), end, cancel) })
	err := group.Wait()
	if cause := context.Cause(whole); cause != nil { // what a stage before the failed one says is only that it was made to stop
		return cause
	}
	return err
}

// leave ends a stage: after a failure, what is before it must stop first, or it would be read to its end only to be dropped.
func leave(err error, in <-chan item, cancel context.CancelCauseFunc) error {
	if err != nil {
		cancel(err)
	}
	drain(in)
	return err
}

// stop asks the reader to come to an end.
func (p *producer) stop() { p.stopOnce.Do(p.reader.stop) }

func (p *producer) close() {
	for _, c := range p.closers {
		if err := c(); err != nil {
			p.runtime.Log.Debug("close a plugin", "flow", p.settings.Name, "error", err)
		}
	}
	if p.reader == nil {
		return
	}
	if err := p.reader.close(); err != nil {
		p.runtime.Log.Debug("close the reader", "flow", p.settings.Name, "error", err)
	}
}
