package engine

import (
	"context"
	"time"

	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/zone"
)

// upkeepPulse is how often a run looks whether its flows have committed enough for a dataset to need upkeep.
const upkeepPulse = 500 * time.Millisecond

// attendant looks after the datasets of a run beside its flows, one at a time. It only watches what the flows report.
type attendant struct {
	*upkeeper
	flows  []string
	status func(string) progress.Status
	seen   map[string]int64               // units by flow, as of the last pulse
	looked map[zone.Name]map[string]int64 // units by flow, as of the last look at a dataset
	again  map[zone.Name]time.Time        // when files that wait may go
	keyed  map[zone.Name]bool             // whether a dataset has a key, which stays as it is
}

func newAttendant(k *upkeeper, flows []string, status func(string) progress.Status) *attendant {
	return &attendant{
		upkeeper: k, flows: flows, status: status,
		seen: map[string]int64{}, looked: map[zone.Name]map[string]int64{}, again: map[zone.Name]time.Time{},
		keyed: map[zone.Name]bool{},
	}
}

// attend runs until done is closed.
func (a *attendant) attend(ctx context.Context, done <-chan struct{}) {
	tick := time.NewTicker(upkeepPulse)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, name := range a.due(ctx) {
			a.visit(ctx, name, lookNow)
		}
	}
}

// finish looks, after the flows have ended, at the datasets that have had enough commits since anybody last looked after them.
func (a *attendant) finish(ctx context.Context, stopping <-chan struct{}) {
	for name := range a.datasets(ctx, func(string) bool { return true }) {
		select {
		case <-stopping:
			return
		default:
		}
		if ctx.Err() != nil {
			return
		}
		a.visit(ctx, name, lookDue)
	}
}

// due are the datasets that have had as many commits as their policy says since the last look, and those where files wait no more.
func (a *attendant) due(ctx context.Context) []zone.Name {
	changed := map[string]bool{}
	for _, name := range a.flows {
		if units := a.status(name).Units; units != a.seen[name] {
			a.seen[name], changed[name] = units, true
		}
	}
	var due []zone.Name
	for name, writers := range a.datasets(ctx, func(writer string) bool { return changed[writer] }) {
		var commits int64
		for _, writer := range writers {
			commits += a.seen[writer] - a.looked[name][writer]
		}
		if commits >= a.policy(name, a.isKeyed(ctx, name)).Every {
			due = append(due, name)
			delete(a.again, name)
		}
	}
	for name, at := range a.again {
		if time.Now().After(at) {
			due = append(due, name)
			delete(a.again, name)
		}
	}
	return due
}

func (a *attendant) isKeyed(ctx context.Context, name zone.Name) bool {
	keyed, known := a.keyed[name]
	if known {
		return keyed
	}
	dataset, err := a.zones.Dataset(ctx, name)
	if err != nil {
		return false // it is asked again
	}
	a.keyed[name] = len(dataset.Key()) > 0
	return a.keyed[name]
}

// datasets are those that some of the run's flows write, with those flows.
func (a *attendant) datasets(ctx context.Context, some func(string) bool) map[zone.Name][]string {
	out := map[zone.Name][]string{}
	for _, writer := range a.flows {
		if !some(writer) {
			continue
		}
		texts, err := a.ledger.DatasetsOf(ctx, writer)
		if err != nil {
			a.log.Warn("upkeep: which datasets a flow writes", "flow", writer, "error", err)
			continue
		}
		for _, text := range texts {
			if name, err := zone.ParseName(text); err == nil {
				out[name] = append(out[name], writer)
			}
		}
	}
	return out
}

// visit looks after a dataset. A failure is no reason to end the run: the next look, or the next run, tries again.
func (a *attendant) visit(ctx context.Context, name zone.Name, s scope) {
	counts := map[string]int64{}
	for _, writer := range a.flows {
		counts[writer] = a.seen[writer]
	}
	a.looked[name] = counts
	report, err := a.look(ctx, name, s, false)
	if err != nil {
		if ctx.Err() == nil {
			a.log.Warn("upkeep", "dataset", name, "error", err)
		}
		return
	}
	if report.Waiting.Count > 0 {
		a.again[name] = time.Now().Add(a.policy(name, a.keyed[name]).Files.Grace.Std())
	}
	a.log.Debug("upkeep", "dataset", name, "files", report.Files, "snapshots", report.Snapshots, "seconds", report.Seconds)
}
