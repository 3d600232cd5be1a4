package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/tenure"
)

// Abandoned is a replay that was given up.
type Abandoned struct {
	Flow     string   `json:"flow"`
	Shadow   string   `json:"shadow"`
	Datasets []string `json:"datasets"`
	Swapped  int64    `json:"swapped,omitempty"` // the unit that had put its rows in place, which stay
}

// AbandonReplay drops what replays of a flow have left that did not come to their end, or, if into names one, the dataset that one
// has made.
func (p *Project) AbandonReplay(ctx context.Context, name, into string, stopping <-chan struct{}, waiting func(string)) ([]Abandoned, error) {
	runtime := p.runtime(progress.New(name))
	ctx, done := p.live(ctx)
	defer done()
	stop := tell(runtime.Progress, name+"~", waiting)
	defer stop()
	all := []Abandoned{}
	err := flow.Replaying(ctx, name, runtime, stopping, func(ctx context.Context) error {
		shadows, err := p.ledger.Shadows(ctx, name)
		if err != nil {
			return err
		}
		for _, s := range shadows {
			if s.Into != into && (into != "" || s.Done) {
				continue
			}
			datasets, err := p.ledger.DatasetsOf(ctx, s.Flow)
			if err == nil {
				err = flow.DropShadow(ctx, runtime, s)
			}
			if err != nil {
				return err
			}
			all = append(all, Abandoned{Flow: name, Shadow: s.Flow, Datasets: datasets, Swapped: s.Swapped})
		}
		return nil
	})
	if err == nil && len(all) == 0 && into != "" {
		err = fmt.Errorf("no replay of flow %q has made %q", name, into)
	}
	return all, err
}

// hidden are the datasets of shadows, which patterns of flows do not mean: nobody who reads processing.shop.* wants rows twice.
func (p *Project) hidden(ctx context.Context) (map[string]bool, error) {
	shadows, err := p.ledger.Shadows(ctx, "")
	if err != nil {
		return nil, err
	}
	hidden := map[string]bool{}
	for _, s := range shadows {
		datasets, err := p.ledger.DatasetsOf(ctx, s.Flow)
		if err != nil {
			return nil, err
		}
		for _, d := range datasets {
			hidden[d] = true
		}
	}
	for _, pipeline := range p.Bundle.Pipelines {
		for _, f := range pipeline.Flows {
			for _, from := range f.From {
				if !strings.Contains(from, "*") {
					delete(hidden, from)
				}
			}
		}
	}
	return hidden, nil
}

// ReplayReport is a replay that has not come to its end, or whose dataset people have kept.
type ReplayReport struct {
	Flow     string        `json:"flow"`
	Purpose  string        `json:"purpose"`
	Units    []ledger.Span `json:"units"`
	Datasets []string      `json:"datasets"`
	Made     int64         `json:"made"` // rows by now
	State    string        `json:"state"`
	Begun    time.Time     `json:"begun"`
	By       string        `json:"by,omitempty"`
}

// replays adds what status says of replays: those that are there, which flows are stale, and who has been replayed last.
func (p *Project) replays(ctx context.Context, prefix string, report *Report) error {
	stale, err := p.ledger.Stale(ctx)
	if err != nil {
		return err
	}
	for i := range report.Flows {
		f := &report.Flows[i]
		own := slices.DeleteFunc(slices.Clone(stale), func(s ledger.Stale) bool { return s.Flow != f.Flow })
		if len(own) > 0 {
			f.Note = joinNotes(f.Note, staleNote(own))
		}
		if f.Last != nil && f.Last.Replay != nil {
			f.Note = joinNotes(f.Note, fmt.Sprintf("unit %d replayed units %s", f.Seq, SpanText(f.Last.Replay.Units)))
		}
	}
	shadows, err := p.ledger.Shadows(ctx, "")
	if err != nil {
		return err
	}
	for _, s := range shadows {
		if !strings.HasPrefix(s.Of, prefix) {
			continue
		}
		one, err := p.replayReport(ctx, s)
		if err != nil {
			return err
		}
		report.Replays = append(report.Replays, one)
	}
	return nil
}

func (p *Project) replayReport(ctx context.Context, s ledger.Shadow) (ReplayReport, error) {
	one := ReplayReport{Flow: s.Of, Purpose: string(s.Purpose), Units: []ledger.Span{s.Units}, Begun: s.Begun, By: s.By, State: "left unfinished"}
	var err error
	if one.Datasets, err = p.ledger.DatasetsOf(ctx, s.Flow); err != nil {
		return one, err
	}
	totals, err := p.ledger.Totals(ctx, s.Flow)
	if err != nil {
		return one, err
	}
	if n := len(totals); n > 0 {
		one.Made = totals[n-1].Out
	}
	owner, _, err := p.ledger.Owner(ctx, s.Of+"~")
	switch {
	case s.Done:
		one.State = "kept"
	case owner.Name != "" && tenure.Alive(owner):
		one.State = "running"
	case s.Swapped > 0:
		one.State = "swapped, to be cleared up"
	}
	return one, err
}

func joinNotes(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// SpanText writes runs of units for people: 1-4, 7.
func SpanText(spans []ledger.Span) string {
	var parts []string
	for _, s := range spans {
		if s.First == s.Last {
			parts = append(parts, fmt.Sprint(s.First))
			continue
		}
		parts = append(parts, fmt.Sprintf("%d-%d", s.First, s.Last))
	}
	return strings.Join(parts, ", ")
}
