package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// transformChecks are the promises of transforms.
func transformChecks() []check {
	const plan, apply, cardinality, deterministic = "transform.plan", "transform.apply", "transform.cardinality", "transform.deterministic"
	return []check{
		{id: plan, promise: "The same schemas give the same plan, whose lineage and outputs agree with each other.", run: (*suite).transformPlan},
		{id: "transform.dry_run", promise: "Planning changes nothing outside.", needs: []string{plan}, run: (*suite).transformDryRun},
		{id: apply, promise: "It transforms batches into what was planned.", needs: []string{plan}, run: (*suite).transformApply},
		{id: cardinality, promise: "Rows out, rejected and filtered add up to rows in, as the plan's cardinality says.", needs: []string{apply}, run: (*suite).transformCardinality},
		{id: deterministic, promise: "The same rows give the same result.", needs: []string{apply}, run: (*suite).transformDeterministic},
		{id: "transform.units", promise: "A unit's result does not depend on the unit before.", needs: []string{deterministic}, run: (*suite).transformUnits},
		{id: "transform.cuts", promise: "The result does not depend on where the runtime cuts batches.", needs: []string{deterministic, cardinality}, run: (*suite).transformCuts},
		{id: "transform.identity", promise: "Columns whose lineage says identity keep their values.", needs: []string{apply, cardinality}, run: (*suite).transformIdentity},
		{id: "transform.shapes", promise: "It takes batches of nulls, of no row, of one row, slices, and 100,000 rows.", needs: []string{apply, cardinality}, run: (*suite).transformShapes},
		{id: "transform.large_row", promise: "A row as large as may travel, or larger, is transformed or rejected.", needs: []string{apply, cardinality}, run: (*suite).transformLargeRow},
		{id: "transform.types", promise: "Each Arrow type that zones can hold is transformed, or refused by the plan.", needs: []string{apply, cardinality, "transform.identity"}, run: (*suite).transformTypes},
		{id: "transform.schema_change", promise: "After a new plan, batches of the new schema are transformed as planned.", needs: []string{apply, deterministic, "transform.units"}, run: (*suite).transformSchemaChange},
		{id: "transform.lineage", promise: "An input column that changes an output is declared as its ancestor.", needs: []string{"transform.units", "transform.cuts"}, run: (*suite).transformLineage},
		{id: "transform.kill", promise: "After SIGKILL in the middle, another process gives the same.", needs: []string{deterministic}, run: (*suite).transformKill},
		{id: "transform.cancel", promise: "When a call is cancelled it returns within a second.", needs: []string{apply}, run: (*suite).transformCancel},
	}
}

// transformState is what checks of transforms share.
type transformState struct {
	plan sdk.Plan
	base *yield // of unitRows rows, from a fresh instance
}

func (s *suite) transformSession(ctx context.Context, p *strict.Process, config json.RawMessage) error {
	given := s.Config
	s.Config = config
	defer func() { s.Config = given }()
	_, _, err := s.transformed(ctx, p, s.unit())
	return err
}

func (s *suite) transformPlan(ctx context.Context, t *trial) error {
	shared, err := s.process(ctx)
	if err != nil {
		return err
	}
	fresh, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer fresh.Close()
	var first *sdk.Plan
	for _, p := range []*strict.Process{shared, fresh} {
		tr, err := p.Transform(ctx, s.Config)
		if err != nil {
			return err
		}
		for range 2 {
			plan, err := tr.Plan(changes(s.Inputs, 1, s.Key))
			if err != nil {
				tr.Cancel()
				return err
			}
			if first == nil {
				first = &plan
			} else if diff := cmp.Diff(planText(*first), planText(plan)); diff != "" {
				tr.Cancel()
				return seen("the same plan again", "(-first +again)\n%s", diff)
			}
		}
		if err := tr.Close(); err != nil {
			return err
		}
	}
	s.transformState.plan = *first
	t.note("cardinality %s, deterministic %v, collects %v, %d outputs, lineage of %d columns",
		first.Cardinality, first.Deterministic, first.Collects, len(first.Outputs), len(first.Lineage))
	return nil
}

func planText(p sdk.Plan) []string {
	lines := []string{string(p.Cardinality), fmt.Sprintf("deterministic %v, collects %v", p.Deterministic, p.Collects), p.Description}
	for _, out := range p.Outputs {
		lines = append(lines, fmt.Sprintf("output %s key %v %s", out.Name, out.Key, out.Schema))
	}
	for _, l := range p.Lineage {
		lines = append(lines, fmt.Sprintf("lineage %+v", l))
	}
	return lines
}

func (s *suite) transformDryRun(ctx context.Context, _ *trial) error {
	if err := s.noProbe(); err != nil {
		return err
	}
	return s.unchanged(ctx, "planning", func() error {
		p, err := s.process(ctx)
		if err != nil {
			return err
		}
		tr, err := p.Transform(ctx, s.Config)
		if err != nil {
			return err
		}
		if _, err := tr.Plan(changes(s.Inputs, 1, s.Key)); err != nil {
			tr.Cancel()
			return err
		}
		return tr.Close()
	})
}

// unchanged probes before and after something that must change nothing.
func (s *suite) unchanged(ctx context.Context, what string, do func() error) error {
	before, err := s.probe(ctx)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	after, err := s.probe(ctx)
	if err != nil {
		return err
	}
	if before != after {
		return seen(what+" changes nothing outside", "the probe printed before and after (-before +after)\n%s", cmp.Diff(before, after))
	}
	return nil
}

func (s *suite) transformApply(ctx context.Context, t *trial) error {
	y, err := s.once(ctx, s.unit())
	if err != nil {
		return err
	}
	s.transformState.base = y
	t.note("of %d rows came %d, and %d were rejected%s", y.in, y.out, y.rejections(), reasonsText(y.reasons))
	if y.out == 0 {
		t.note("no row came out: give --schema with columns and values that fit the settings, or the checks see little")
	}
	return nil
}

func reasonsText(reasons map[string]string) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(reasons)) {
		parts = append(parts, fmt.Sprintf("%s: %s", code, cut(reasons[code], 90)))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

func (s *suite) transformCardinality(ctx context.Context, t *trial) error {
	plan := s.transformState.plan
	if plan.Cardinality == sdk.AnyRows {
		return skip("rows in and out are reported, but a lost row would not be noticed", "the plan says that any number of rows may come out")
	}
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	tr, err := p.Transform(ctx, s.Config)
	if err != nil {
		return err
	}
	defer tr.Cancel()
	if plan, err = tr.Plan(changes(s.Inputs, 1, s.Key)); err != nil {
		return err
	}
	filtered := int64(0)
	u := s.unit()
	u.version, u.rows, u.cut = 1, 4*unitRows, 7
	_, err = s.apply(tr, plan, u, func(in int64, r strict.Result) error {
		out := int64(0)
		for _, b := range r.Batches {
			out += b.Record.NumRows()
		}
		left := in - out - int64(len(r.Rejections))
		filtered += left
		if left < 0 || left > 0 && plan.Cardinality == sdk.OneToOne {
			return seen(fmt.Sprintf("cardinality %q: %s", plan.Cardinality, cardinalityText(plan.Cardinality)),
				"of %d rows came %d, and %d were rejected", in, out, len(r.Rejections))
		}
		return nil
	})
	if err == nil && plan.Cardinality == sdk.Filters {
		t.note("%d of %d rows were filtered out", filtered, 4*unitRows*len(s.Inputs))
	}
	return err
}

func cardinalityText(c sdk.Cardinality) string {
	if c == sdk.OneToOne {
		return "each row gives one row or a rejection"
	}
	return "each row gives at most one row or a rejection"
}

// determined skips what can't be compared.
func (s *suite) determined() error {
	if s.transformState.plan.Deterministic {
		return nil
	}
	return skip("a unit that is made again after a crash, or replayed, may differ from the first", "the plan says that it isn't deterministic")
}

func (s *suite) transformDeterministic(ctx context.Context, _ *trial) error {
	if err := s.determined(); err != nil {
		return err
	}
	fresh, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer fresh.Close()
	for range 2 {
		_, yields, err := s.transformed(ctx, fresh, s.unit())
		if err != nil {
			return err
		}
		if text := s.transformState.base.differs(yields[0]); text != "" {
			return seen("the result of the first run", "%s", text)
		}
	}
	return nil
}

// transformUnits gives an instance other units before the one that is compared.
func (s *suite) transformUnits(ctx context.Context, _ *trial) error {
	if err := s.determined(); err != nil {
		return err
	}
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	before := s.unit()
	before.from, before.rows = 40, 2*unitRows+1 // some of the same rows, some others
	_, yields, err := s.transformed(ctx, p, before, s.unit(), s.unit())
	if err != nil {
		return err
	}
	for i, y := range yields[1:] {
		if text := s.transformState.base.differs(y); text != "" {
			return seen("the result that the unit has alone", "as unit %d of an instance: %s", i+2, text)
		}
	}
	return nil
}

func (s *suite) transformCuts(ctx context.Context, _ *trial) error {
	if err := s.determined(); err != nil {
		return err
	}
	for _, size := range []int{1, 17} {
		u := s.unit()
		u.cut = size
		y, err := s.once(ctx, u)
		if err != nil {
			return err
		}
		if text := s.transformState.base.differs(y); text != "" {
			return seen(fmt.Sprintf("the result of one batch of %d rows", unitRows), "in batches of %d rows: %s", size, text)
		}
	}
	return nil
}
