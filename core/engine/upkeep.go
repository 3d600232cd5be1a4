package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
)

const (
	upkeepLease = 5 * time.Minute // who dies holding a dataset's upkeep keeps others from it for so long
	sweepEvery  = 24 * time.Hour
	everyKeyed  = 10 // commits to a dataset with a key
)

// UpkeepRequest says which datasets to look after.
type UpkeepRequest struct {
	Datasets []string // names or patterns, such as landing.*.*; none: all
	DryRun   bool
}

// UpkeepReport is what was done.
type UpkeepReport struct {
	Datasets []upkeep.Report `json:"datasets"`
	Seconds  float64         `json:"seconds"`
}

// Upkeep looks after datasets one by one, by the policy of each: everything that is due is done. A dataset that fails does not keep
// it from the others.
func (p *Project) Upkeep(ctx context.Context, r UpkeepRequest) (UpkeepReport, error) {
	started := time.Now()
	report := UpkeepReport{Datasets: []upkeep.Report{}}
	names, err := p.matching(ctx, r.Datasets)
	if err != nil {
		return report, err
	}
	k := p.upkeeper(tenure.NewOwner())
	var failures error
	for _, name := range names {
		if err := context.Cause(ctx); err != nil {
			return report, errors.Join(failures, err)
		}
		done, err := k.look(ctx, name, lookAll, r.DryRun)
		if err != nil {
			failures = errors.Join(failures, fmt.Errorf("dataset %q: %w", name, err))
		}
		report.Datasets = append(report.Datasets, done)
	}
	report.Seconds = time.Since(started).Seconds()
	return report, failures
}

// matching are the datasets that patterns cover, in the order of the zones.
func (p *Project) matching(ctx context.Context, patterns []string) ([]zone.Name, error) {
	var wanted []spec.Dataset
	for _, text := range patterns {
		pattern, err := spec.ParsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("dataset pattern %q: %w", text, err)
		}
		wanted = append(wanted, pattern)
	}
	names, err := p.Zones().List(ctx)
	if err != nil {
		return nil, err
	}
	for i, pattern := range wanted {
		if !slices.ContainsFunc(names, func(n zone.Name) bool { return pattern.Matches(specName(n)) }) {
			return nil, fmt.Errorf("no dataset matches %q; there are %q", patterns[i], names)
		}
	}
	return slices.DeleteFunc(names, func(n zone.Name) bool {
		return len(wanted) > 0 && !slices.ContainsFunc(wanted, func(d spec.Dataset) bool { return d.Matches(specName(n)) })
	}), nil
}

func specName(n zone.Name) spec.Dataset {
	return spec.Dataset{Zone: n.Zone, Namespace: n.Namespace, Name: n.Dataset}
}

// upkeeper looks after datasets. It is for one goroutine.
type upkeeper struct {
	zones  *zone.Zones
	ledger *ledger.Ledger
	spec   *spec.Project
	log    hclog.Logger
	owner  string
	caches map[zone.Name]*upkeep.Cache
}

func (p *Project) upkeeper(owner string) *upkeeper {
	return &upkeeper{
		zones: p.Zones(), ledger: p.ledger, spec: p.resolved, log: p.Log, owner: owner, caches: map[zone.Name]*upkeep.Cache{},
	}
}

// policy says how a dataset is kept. One with a key is looked after more often: each upsert leaves keys that every reader has to
// compare rows with until upkeep has applied them.
func (k *upkeeper) policy(name zone.Name, keyed bool) spec.Upkeep {
	u := k.spec.UpkeepOf(specName(name))
	if keyed {
		u.Every = min(u.Every, everyKeyed)
	}
	return u
}

func policyOf(u spec.Upkeep) upkeep.Policy {
	p := upkeep.Defaults()
	p.Convert = everyKeyed / 2 // some of the commits that led here may have left no keys
	p.Compact = upkeep.Compact{Off: u.Compact.Off, Below: u.Compact.Below.Bytes(), Files: int(u.Compact.Files), Target: u.Compact.Target.Bytes()}
	p.Snapshots.Keep, p.Snapshots.Most = int(u.Snapshots.Keep), int(u.Snapshots.Most)
	p.Snapshots.YoungerThan = u.Snapshots.YoungerThan.Std()
	p.Grace, p.Orphans = u.Files.Grace.Std(), u.Orphans.OlderThan.Std()
	return p
}

// scope says how much of a look is wanted.
type scope int

const (
	lookAll scope = iota // whatever is due, orphans among it
	lookNow              // orphans only if they were not looked for in a day
	lookDue              // as lookNow, but only after as many commits as the policy says
)

// look looks after one dataset, unless somebody else does.
func (k *upkeeper) look(ctx context.Context, name zone.Name, s scope, dryRun bool) (upkeep.Report, error) {
	report := upkeep.Report{Dataset: name.String(), DryRun: dryRun, Kept: []string{}}
	held, ours, err := k.take(ctx, name)
	if err != nil {
		return report, err
	}
	if !ours {
		report.Kept = append(report.Kept, "everything: "+held.Owner+" looks after it")
		return report, nil
	}
	defer k.hold(ctx, name)()
	dataset, err := k.zones.Dataset(ctx, name)
	if err != nil {
		return report, errors.Join(err, k.ledger.EndUpkeep(ctx, held, false))
	}
	policy := k.policy(name, len(dataset.Key()) > 0)
	commits, err := dataset.Commits(ctx)
	if err != nil || (s == lookDue && commits-held.Commits < policy.Every) {
		return report, errors.Join(err, k.ledger.EndUpkeep(ctx, held, false))
	}
	sweep := s == lookAll || held.SinceSweep >= sweepEvery
	report, err = k.run(ctx, dataset, upkeep.Request{Policy: policyOf(policy), Sweep: sweep, DryRun: dryRun})
	if err == nil && !dryRun {
		held.Commits, err = dataset.Commits(ctx)
	}
	return report, errors.Join(err, k.ledger.EndUpkeep(context.WithoutCancel(ctx), held, sweep && err == nil && !dryRun))
}

// take takes a dataset's upkeep, also from a process of this machine that died with it.
func (k *upkeeper) take(ctx context.Context, name zone.Name) (ledger.Upkeep, bool, error) {
	held, ours, err := k.ledger.TakeUpkeep(ctx, name.String(), k.owner, upkeepLease)
	if err != nil || ours || tenure.Alive(ledger.Owner{Name: held.Owner}) {
		return held, ours, err
	}
	if err := k.ledger.EndUpkeep(ctx, held, false); err != nil {
		return held, false, err
	}
	return k.ledger.TakeUpkeep(ctx, name.String(), k.owner, upkeepLease)
}

// hold keeps the lease until the returned function is called.
func (k *upkeeper) hold(ctx context.Context, name zone.Name) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var beat sync.WaitGroup
	beat.Go(func() {
		tick := time.NewTicker(upkeepLease / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, _, err := k.ledger.TakeUpkeep(ctx, name.String(), k.owner, upkeepLease); err != nil && ctx.Err() == nil {
				k.log.Warn("keep the upkeep of a dataset", "dataset", name, "error", err)
			}
		}
	})
	return func() { cancel(); beat.Wait() }
}

// run asks the ledger what readers and runners need, and leaves it to the dataset.
func (k *upkeeper) run(ctx context.Context, d *zone.Dataset, r upkeep.Request) (upkeep.Report, error) {
	name := d.Name()
	if k.caches[name] == nil {
		k.caches[name] = upkeep.NewCache()
	}
	r.Cache = k.caches[name]
	r.Refresh = func(ctx context.Context) (map[string]int64, []upkeep.Pin, error) { return k.needed(ctx, name) }
	r.Repin = func(ctx context.Context, p upkeep.Pin, to int64) (bool, error) {
		return k.ledger.Repin(ctx, name.String(), p.Flow, p.Snapshot, to)
	}
	var err error
	if r.Visible, r.Pinned, err = r.Refresh(ctx); err != nil {
		return upkeep.Report{Dataset: name.String(), Kept: []string{}}, err
	}
	return d.Upkeep(ctx, r)
}

// needed is what the ledger says of a dataset: the units that can't be taken back any more, and the snapshots that readers are sent
// to. What a sink refuses late is marked by a name of its own.
func (k *upkeeper) needed(ctx context.Context, name zone.Name) (map[string]int64, []upkeep.Pin, error) {
	view, err := k.ledger.View(ctx, name.String())
	if err != nil {
		return nil, nil, err
	}
	visible := map[string]int64{}
	for writer, seq := range view.Seqs {
		visible[writer] = seq
		if name.Zone == zone.Quarantine {
			visible[writer+".late"] = seq
		}
	}
	var pins []upkeep.Pin
	if view.Snapshot != 0 {
		pins = append(pins, upkeep.Pin{Snapshot: view.Snapshot})
	}
	for writer, snapshot := range view.Snapshots {
		pins = append(pins, upkeep.Pin{Flow: writer, Snapshot: snapshot})
	}
	return visible, pins, nil
}
