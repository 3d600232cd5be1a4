package conformance

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/sample"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// judgeChecks are the promises of checks.
func judgeChecks() []check {
	const plan, judge = "check.plan", "check.judge"
	return []check{
		{id: plan, promise: "It plans for the schema, again if asked.", run: (*suite).judgePlan},
		{id: "check.dry_run", promise: "Planning changes nothing outside.", needs: []string{plan}, run: (*suite).judgeDryRun},
		{id: judge, promise: "Findings name rows of the batch and a code; each unit has one result with a verdict.", needs: []string{plan}, run: (*suite).judgeJudge},
		{id: "check.deterministic", promise: "The same rows give the same findings and the same result.", needs: []string{judge}, run: (*suite).judgeDeterministic},
		{id: "check.units", promise: "A unit's findings and result do not depend on the unit before.", needs: []string{"check.deterministic"}, run: (*suite).judgeUnits},
		{id: "check.cuts", promise: "Findings and result do not depend on where the runtime cuts batches.", needs: []string{"check.deterministic"}, run: (*suite).judgeCuts},
		{id: "check.empty", promise: "A unit without rows has a result.", needs: []string{judge}, run: (*suite).judgeEmpty},
		{id: "check.shapes", promise: "It takes batches of nulls, of no row, of one row, slices, and 100,000 rows.", needs: []string{judge}, run: (*suite).judgeShapes},
		{id: "check.large_row", promise: "A row as large as may travel, or larger, is judged.", needs: []string{judge}, run: (*suite).judgeLargeRow},
		{id: "check.types", promise: "Each Arrow type that zones can hold is judged, or refused by the plan.", needs: []string{judge}, run: (*suite).judgeTypes},
		{id: "check.schema_change", promise: "After a new plan, batches of the new schema are judged.", needs: []string{judge}, run: (*suite).judgeSchemaChange},
		{id: "check.cancel", promise: "When a call is cancelled it returns within a second.", needs: []string{judge}, run: (*suite).judgeCancel},
	}
}

// opinion is what a check says of a unit, in words that can be compared.
type opinion struct {
	Findings []string
	Result   string
	codes    map[string]int
	verdict  sdk.Verdict
}

// judged plans and gives an instance units, of the first input.
func (s *suite) judged(ctx context.Context, p *strict.Process, units ...unit) ([]opinion, error) {
	c, err := p.Check(ctx, s.Config)
	if err != nil {
		return nil, err
	}
	if err := c.Plan(changes(units[0].inputs[:1], 1, s.Key)[0]); err != nil {
		c.Cancel()
		return nil, &planRefused{err}
	}
	var opinions []opinion
	for _, u := range units {
		u.version = 1
		o, err := s.opinion(c, u)
		if err != nil {
			c.Cancel()
			return nil, err
		}
		opinions = append(opinions, o)
	}
	return opinions, c.Close()
}

func (s *suite) opinion(c *strict.Check, u unit) (opinion, error) {
	o := opinion{codes: map[string]int{}}
	if u.rows > 0 {
		err := u.batches(s.Seed, 0, func(b sdk.Batch, from int64) error {
			findings, err := c.Rows(b)
			for _, f := range findings {
				o.codes[f.Code]++
				f.Row += int(from)
				o.Findings = append(o.Findings, fmt.Sprintf("%+v", f))
			}
			return err
		})
		if err != nil {
			return o, err
		}
	}
	result, err := c.Result()
	o.Result, o.verdict = fmt.Sprintf("%+v", result), result.Verdict
	return o, err
}

func (s *suite) judgeSession(ctx context.Context, p *strict.Process, config json.RawMessage) error {
	given := s.Config
	s.Config = config
	defer func() { s.Config = given }()
	_, err := s.judged(ctx, p, s.unit())
	return err
}

func (s *suite) judgedOnce(ctx context.Context, u unit) (opinion, error) {
	p, err := s.process(ctx)
	if err != nil {
		return opinion{}, err
	}
	opinions, err := s.judged(ctx, p, u)
	if err != nil {
		return opinion{}, err
	}
	return opinions[0], nil
}

func (s *suite) planned(ctx context.Context) (*strict.Process, *strict.Check, error) {
	p, err := s.process(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := p.Check(ctx, s.Config)
	if err != nil {
		return nil, nil, err
	}
	if err := c.Plan(changes(s.Inputs[:1], 1, s.Key)[0]); err != nil {
		c.Cancel()
		return nil, nil, err
	}
	return p, c, nil
}

func (s *suite) judgePlan(ctx context.Context, _ *trial) error {
	_, c, err := s.planned(ctx)
	if err != nil {
		return err
	}
	if err := c.Plan(changes(s.Inputs[:1], 1, s.Key)[0]); err != nil {
		c.Cancel()
		return seen("the second plan for the same schema to be like the first", "%v", err)
	}
	return c.Close()
}

func (s *suite) judgeDryRun(ctx context.Context, _ *trial) error {
	if err := s.noProbe(); err != nil {
		return err
	}
	return s.unchanged(ctx, "planning", func() error {
		_, c, err := s.planned(ctx)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func (s *suite) judgeJudge(ctx context.Context, t *trial) error {
	o, err := s.judgedOnce(ctx, s.unit())
	if err != nil {
		return err
	}
	t.note("of %d rows %d findings %v, verdict %s", unitRows, len(o.Findings), o.codes, o.verdict)
	return nil
}

func (s *suite) sameOpinion(ctx context.Context, expected string, other func(p *strict.Process) (opinion, error)) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	alone, err := s.judged(ctx, p, s.unit())
	if err != nil {
		return err
	}
	again, err := other(p)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(alone[0], again, cmp.FilterPath(func(p cmp.Path) bool {
		name := p.Last().String()
		return name == ".codes" || name == ".verdict"
	}, cmp.Ignore())); diff != "" {
		return seen(expected, "(-expected +seen)\n%s", diff)
	}
	return nil
}

func (s *suite) judgeDeterministic(ctx context.Context, _ *trial) error {
	return s.sameOpinion(ctx, "what another process says of the same rows", func(*strict.Process) (opinion, error) {
		fresh, err := s.start(ctx)
		if err != nil {
			return opinion{}, err
		}
		defer fresh.Close()
		opinions, err := s.judged(ctx, fresh, s.unit())
		if err != nil {
			return opinion{}, err
		}
		return opinions[0], nil
	})
}

func (s *suite) judgeUnits(ctx context.Context, _ *trial) error {
	return s.sameOpinion(ctx, "what it says of the unit alone", func(p *strict.Process) (opinion, error) {
		before := s.unit()
		before.from, before.rows = 40, 2*unitRows+1 // some of the same rows, some others
		opinions, err := s.judged(ctx, p, before, s.unit(), s.unit())
		if err != nil {
			return opinion{}, err
		}
		if diff := cmp.Diff(opinions[1].Findings, opinions[2].Findings); diff != "" {
			return opinion{}, seen("the same of the same unit", "(-second +third)\n%s", diff)
		}
		return opinions[1], nil
	})
}

func (s *suite) judgeCuts(ctx context.Context, _ *trial) error {
	return s.sameOpinion(ctx, fmt.Sprintf("what it says of one batch of %d rows", unitRows), func(p *strict.Process) (opinion, error) {
		u := s.unit()
		u.cut = 7
		opinions, err := s.judged(ctx, p, u)
		if err != nil {
			return opinion{}, err
		}
		return opinions[0], nil
	})
}

func (s *suite) judgeEmpty(ctx context.Context, t *trial) error {
	u := s.unit()
	u.rows = 0
	o, err := s.judgedOnce(ctx, u)
	if err == nil {
		t.note("verdict %s", o.verdict)
	}
	return err
}

func (s *suite) judgeShapes(ctx context.Context, _ *trial) error {
	for _, shape := range shapes(s.Inputs) {
		record, err := shape.make(s.Seed, s.Inputs[0])
		if err != nil {
			return err
		}
		err = s.judgedBatch(ctx, record)
		record.Release()
		if err != nil {
			return fmt.Errorf("%s: %w", shape.name, err)
		}
	}
	return nil
}

// judgedBatch gives an instance one batch as a unit.
func (s *suite) judgedBatch(ctx context.Context, record arrow.RecordBatch) error {
	p, c, err := s.planned(ctx)
	if err != nil {
		return err
	}
	defer c.Cancel()
	if _, err := c.Rows(sdk.Batch{Stream: s.Inputs[0].Name, Version: 1, Record: record}); err != nil {
		return err
	}
	if _, err := c.Result(); err != nil {
		return err
	}
	return alive(p, "the batch")
}

func (s *suite) judgeLargeRow(ctx context.Context, t *trial) error {
	for _, size := range sizes() {
		record, err := largeRow(s.Seed, s.Inputs[0], size)
		if err != nil {
			return err
		}
		if record == nil {
			return skip("", noText)
		}
		err = s.judgedBatch(ctx, record)
		record.Release()
		if err != nil {
			return fmt.Errorf("a row of %s: %w", mib(int64(size)), err)
		}
	}
	t.note("tried rows of %s, %s and %s", mib(int64(sizes()[0])), mib(int64(sizes()[1])), mib(int64(sizes()[2])))
	return nil
}

func (s *suite) judgeTypes(ctx context.Context, t *trial) error {
	return s.eachType(ctx, t, func(p *strict.Process, c sample.Column) error {
		_, err := s.judged(ctx, p, unit{inputs: s.withType(c), rows: unitRows})
		return err
	})
}

func (s *suite) judgeSchemaChange(ctx context.Context, _ *trial) error {
	_, c, err := s.planned(ctx)
	if err != nil {
		return err
	}
	defer c.Cancel()
	wider := s.withType(sample.Column{Type: arrow.BinaryTypes.String})
	for i, inputs := range [][]sample.Input{s.Inputs, wider} {
		if err := c.Plan(changes(inputs[:1], i+1, s.Key)[0]); err != nil {
			return err
		}
		u := unit{inputs: inputs, rows: unitRows, version: i + 1}
		err := u.batches(s.Seed, 0, func(b sdk.Batch, _ int64) error {
			_, err := c.Rows(b)
			return err
		})
		if err != nil {
			return fmt.Errorf("schema version %d: %w", i+1, err)
		}
	}
	if _, err := c.Result(); err != nil {
		return err
	}
	return c.Close()
}

func (s *suite) judgeCancel(ctx context.Context, t *trial) error {
	record, err := s.Inputs[0].Rows(s.Seed, 0, manyRows/4)
	if err != nil {
		return err
	}
	defer record.Release()
	return s.cancelled(ctx, t, "Check", func(p *strict.Process) (func(), error) {
		c, err := p.Check(ctx, s.Config)
		if err != nil {
			return nil, err
		}
		if err := c.Plan(changes(s.Inputs[:1], 1, s.Key)[0]); err != nil {
			c.Cancel()
			return nil, err
		}
		_ = c.Begin(sdk.Batch{Stream: s.Inputs[0].Name, Version: 1, Record: record}) // its answer is not waited for
		return c.Cancel, nil
	})
}
