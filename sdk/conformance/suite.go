package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qanat-data/qanat/sdk/conformance/strict"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// check is one promise and the way to see whether it is kept.
type check struct {
	id      string
	promise string
	needs   []string // checks without which this one says nothing
	run     func(s *suite, ctx context.Context, t *trial) error
}

// trial is a check while it runs.
type trial struct{ notes []string }

func (t *trial) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// skipped ends a check that a plugin, or a setting of the suite, makes pointless.
type skipped struct {
	reason, cost string
	blocked      bool // by a check that failed
}

func (s *skipped) Error() string { return s.reason }

func skip(cost, format string, args ...any) error {
	return &skipped{reason: fmt.Sprintf(format, args...), cost: cost}
}

// seen is a failure in the form that people can act on.
func seen(expected, format string, args ...any) error {
	return fmt.Errorf("expected: %s\nseen: %s", expected, fmt.Sprintf(format, args...))
}

// suite is one run of the checks.
type suite struct {
	Settings
	described *pluginv1.DescribeResponse
	component *pluginv1.Component
	report    *Report
	broken    map[string]bool // checks that failed, or were skipped because of one that did
	processes []*strict.Process
	common    *strict.Process // for checks that neither kill nor measure
	flows     int             // names of flows that sinks were given
	run       string          // makes names of this run different from those of others

	sourceState    sourceState
	transformState transformState
	sinkState      sinkState
	started        startState
}

// limit is a duration of the contract, stretched for slow machines.
func (s *suite) limit(d time.Duration) time.Duration {
	return time.Duration(float64(d) * s.Patience)
}

func (s *suite) kind() pluginv1.Kind { return s.component.GetKind() }

// start runs the binary with the operator's environment.
func (s *suite) start(ctx context.Context, changes ...func(*strict.Spec)) (*strict.Process, error) {
	spec := strict.Spec{Binary: s.Binary, Dir: s.Dir, Env: slices.Clone(s.Env), Limit: s.limit(answerLimit), Scratch: true}
	for _, change := range changes {
		change(&spec)
	}
	p, err := strict.Start(ctx, spec)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// process is one that checks share; a new one if the last has ended.
func (s *suite) process(ctx context.Context) (*strict.Process, error) {
	if s.common != nil && s.common.Alive() {
		return s.common, nil
	}
	var err error
	s.common, err = s.start(ctx)
	return s.common, err
}

// alive fails if a process has ended that had no reason to.
func alive(p *strict.Process, after string) error {
	if p.Alive() {
		return nil
	}
	return seen("the process goes on", "it ended after %s; its last words:\n%s", after, strings.Join(p.Last(), "\n"))
}

func (s *suite) close() {
	for _, p := range s.processes {
		p.Close()
	}
}

// Run checks a plugin. The error is a *UsageError, a *strict.StartError of a binary that is no plugin, or the context's; checks
// that fail are in the report.
func Run(ctx context.Context, settings Settings) (Report, error) {
	return run(ctx, settings, func(_ check, do func() Result) { do() })
}

// run lets around decide when each check runs.
func run(ctx context.Context, settings Settings, around func(c check, do func() Result)) (Report, error) {
	begun := time.Now()
	settings, err := settings.complete()
	if err != nil {
		return Report{}, err
	}
	s := &suite{Settings: settings, broken: map[string]bool{}, report: &Report{Binary: settings.Binary}, run: runName()}
	defer s.close()
	if err := s.meet(ctx); err != nil {
		return Report{}, err
	}
	wanted := s.wanted()
	for _, group := range s.groups() {
		for _, c := range group.checks {
			if !wanted[c.id] {
				continue
			}
			around(c, func() Result { return s.try(ctx, group.name, c) })
			if ctx.Err() != nil {
				return *s.report, context.Cause(ctx)
			}
		}
	}
	if s.Run == nil {
		s.report.Guarantees = s.guarantees()
	}
	s.report.Duration = time.Since(begun)
	return *s.report, nil
}

// meet starts the plugin for the first time and finds out what it is.
func (s *suite) meet(ctx context.Context) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	if s.described, err = p.Describe(ctx); err != nil {
		return &strict.StartError{Binary: s.Binary, Err: err, Last: p.Last()}
	}
	s.report.Plugin, s.report.Version, s.report.SDK = s.described.GetName(), s.described.GetVersion(), s.described.GetSdkVersion()
	for _, c := range s.described.GetComponents() {
		s.report.Kinds = append(s.report.Kinds, kindName(c.GetKind()))
	}
	switch {
	case s.Kind == "" && len(s.report.Kinds) == 1:
		s.Kind = s.report.Kinds[0]
	case s.Kind == "":
		return misuse("the plugin serves %s: say which kind to check", strings.Join(s.report.Kinds, ", "))
	case !slices.Contains(s.report.Kinds, s.Kind):
		return misuse("the plugin serves %s, no %s", strings.Join(s.report.Kinds, ", "), s.Kind)
	}
	s.report.Kind = s.Kind
	s.component = s.described.GetComponents()[slices.Index(s.report.Kinds, s.Kind)]
	return nil
}

func kindName(kind pluginv1.Kind) string {
	if i := int(kind) - 1; i >= 0 && i < len(kindNames()) {
		return kindNames()[i]
	}
	return fmt.Sprintf("unknown kind %d", kind)
}

type group struct {
	name   string
	checks []check
}

// groups are the checks of the plugin's kind between those of all kinds; the last ones look back at what all others have heard.
func (s *suite) groups() []group {
	of := map[string][]check{kindSource: sourceChecks(), kindTransform: transformChecks(), kindCheck: judgeChecks(), kindSink: sinkChecks()}
	session := map[string]string{kindSource: "source.read", kindTransform: "transform.apply", kindCheck: "check.judge", kindSink: "sink.commit"}
	return []group{{"plugin", pluginChecks()}, {s.Kind, of[s.Kind]}, {"process", processChecks(session[s.Kind])}}
}

// wanted are the checks that were asked for, and those that they stand on.
func (s *suite) wanted() map[string]bool {
	wanted := map[string]bool{}
	groups := s.groups()
	slices.Reverse(groups)
	for _, group := range groups {
		for _, c := range slices.Backward(group.checks) { // a check stands on earlier ones
			if s.Run == nil || s.Run.MatchString(c.id) || wanted[c.id] {
				wanted[c.id] = true
				for _, id := range c.needs {
					wanted[id] = true
				}
			}
		}
	}
	return wanted
}

// checkLimit bounds a whole check.
const checkLimit = 5 * time.Minute

// try runs a check.
func (s *suite) try(ctx context.Context, group string, c check) Result {
	begun := time.Now()
	t := &trial{}
	result := Result{ID: c.id, Group: group, Promise: c.promise, Status: Passed}
	err := s.prerequisites(c)
	if err == nil {
		limited, cancel := context.WithTimeoutCause(ctx, s.limit(checkLimit), &strict.Late{Call: c.id, Limit: s.limit(checkLimit)})
		err = c.run(s, limited, t)
		cancel()
	}
	if reason, ok := errors.AsType[*skipped](err); ok {
		result.Status, result.Detail, result.Cost = Skipped, reason.reason, reason.cost
		s.broken[c.id] = reason.blocked
	} else if err != nil {
		result.Status, result.Detail = Failed, err.Error()
		s.broken[c.id] = true
	}
	result.Notes, result.Duration = t.notes, time.Since(begun)
	s.report.add(result)
	if s.Progress != nil {
		s.Progress(result)
	}
	return result
}

// prerequisites skips a check that stands on one that failed.
func (s *suite) prerequisites(c check) error {
	for _, id := range c.needs {
		if s.broken[id] {
			return &skipped{reason: fmt.Sprintf("it stands on %s, which did not pass", id), blocked: true}
		}
	}
	return nil
}

// settingsObject is the operator's settings, to be changed.
func (s *suite) settingsObject() map[string]any {
	var object map[string]any
	_ = json.Unmarshal(s.Config, &object) // complete has tried it
	if object == nil {
		object = map[string]any{}
	}
	return object
}
