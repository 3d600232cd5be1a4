package engine

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/qanat-data/qanat/core/policy"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/registry"
)

// asked are the points at which this version asks.
var asked = []policy.Point{policy.PluginLoad, policy.SpecAdmit}

// Asked are the points at which this version asks.
func Asked() []policy.Point { return slices.Clone(asked) }

// DeniedError says that policies don't allow something.
type DeniedError struct {
	What     string // pipeline "orders", plugin "source-file"
	Decision policy.Decision
}

// Error gives every reason with the rule's place.
func (e *DeniedError) Error() string {
	lines := []string{fmt.Sprintf("%s: denied by policy at %s", e.What, e.Decision.Point)}
	for _, r := range e.Decision.Denied() {
		lines = append(lines, "  "+ReasonText(r))
	}
	return strings.Join(lines, "\n")
}

// ReasonText is a reason in words, with the rule's place.
func ReasonText(r policy.Reason) string {
	text := r.ID + ": " + r.Message
	if r.File != "" {
		text += fmt.Sprintf(" (%s:%d)", r.File, r.Line)
	}
	return strings.Map(func(c rune) rune { // rules may quote what others have written
		if unicode.IsControl(c) {
			return '\uFFFD'
		}
		return c
	}, text)
}

// governor asks the project's policies for leave. Without policies everything is allowed.
type governor struct {
	policies *policy.Policies
	input    policy.Input // what is the same for all decisions of a command
	record   func(ctx context.Context, d Decided) error
	tell     func(what string, d policy.Decision)

	mu      sync.Mutex
	plugins map[string]time.Time // until when an answer is believed, by what was asked
}

// newGovernor loads the policies. What can't be loaded, or is about a point at which this version does not ask, keeps everything from
// being done: governance is not left out silently.
func newGovernor(ctx context.Context, dir string, p *spec.Project, record func(context.Context, Decided) error, tell func(string, policy.Decision)) (*governor, error) {
	g := &governor{record: record, tell: tell, plugins: map[string]time.Time{}}
	if len(p.Policies) == 0 {
		return g, nil
	}
	if key := overlaid(p); key != "" {
		return nil, &PolicyError{Err: fmt.Errorf("%s is set by an overlay: who is governed by what is for qanat.yaml alone to say", key)}
	}
	var err error
	if g.policies, err = policy.Load(ctx, PolicySettings(dir, p)); err != nil {
		return nil, &PolicyError{Err: err}
	}
	who, err := principalOf(p)
	if err != nil {
		return nil, &PolicyError{Err: fmt.Errorf("who runs this can't be told: %w", err)}
	}
	g.input = policy.Input{Environment: p.Environment, Principal: who}
	return g, nil
}

// PolicySettings are those of a project's policies.
func PolicySettings(dir string, p *spec.Project) policy.Settings {
	settings := policy.Settings{Base: dir, Points: asked}
	for _, path := range p.Policies {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		settings.Folders = append(settings.Folders, path)
	}
	return settings
}

// PolicyError says that the policies themselves are not in order. Nothing is done without them.
type PolicyError struct{ Err error }

// Error implements error.
func (e *PolicyError) Error() string { return "policies: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *PolicyError) Unwrap() error { return e.Err }

// principalOf is who acts: as the project says, or the user of the operating system.
func principalOf(p *spec.Project) (policy.Principal, error) {
	if s := p.Principal; s.ID != "" {
		kind := s.Kind
		if kind == "" {
			kind = "service"
		}
		return policy.Principal{ID: s.ID, Kind: kind, Groups: s.Groups, Clearance: s.Clearance}, nil
	}
	out := policy.Principal{Kind: "user"}
	me, err := user.Current()
	if err != nil {
		return out, err
	}
	out.ID = me.Username
	ids, err := me.GroupIds()
	if err != nil {
		return out, err
	}
	for _, id := range ids {
		if group, err := user.LookupGroupId(id); err == nil {
			out.Groups = append(out.Groups, group.Name)
		}
	}
	return out, nil
}

// overlaid is what an overlay says that only the project file may.
func overlaid(p *spec.Project) string {
	if p.Node == nil {
		return ""
	}
	file := p.Node.Position().File
	for _, key := range []string{"policies", "principal"} {
		if n := p.Node.Field(key); n != nil && n.Position().File != file {
			return key
		}
	}
	return ""
}

// decide asks, and notes what was decided. What can't be noted is denied.
func (g *governor) decide(ctx context.Context, what string, in policy.Input) policy.Decision {
	in.API, in.Environment, in.Principal = policy.API, g.input.Environment, g.input.Principal
	in.Time = time.Now().UTC().Format(time.RFC3339Nano)
	d := g.policies.Decide(ctx, in)
	if err := g.record(ctx, Decided{What: what, Input: in, Decision: d}); err != nil {
		d.Allow = false
		d.Reasons = append(d.Reasons, policy.Reason{
			ID: policy.ErrorRule, Severity: policy.Deny, Message: fmt.Sprintf("the decision can't be noted: %v", err),
		})
	}
	return d
}

// admit asks whether a pipeline may be validated, run or what else is to be done with it. The spec is that of what is to be done.
func (g *governor) admit(ctx context.Context, p *spec.Pipeline, action string, spec any) (policy.Decision, error) {
	if g.policies == nil {
		return policy.Decision{Allow: true}, nil
	}
	what := fmt.Sprintf("pipeline %q", p.Name)
	d := g.decide(ctx, what, policy.Input{Point: policy.SpecAdmit, Action: action, Purpose: p.Purpose, Spec: spec})
	if !d.Allow {
		return d, &DeniedError{What: what, Decision: d}
	}
	return d, nil
}

// trusted is how long an answer about a plugin is believed.
const trusted = time.Minute

// admitPlugin asks whether a plugin's process may start. Of one that is not in the lock file yet, only its name and digest are known.
func (g *governor) admitPlugin(ctx context.Context, kind registry.Kind, entry registry.Entry, describe bool) error {
	if g.policies == nil {
		return nil
	}
	in := policy.Input{Point: policy.PluginLoad, Action: policy.ActionStart, Plugin: pluginOf(kind, entry)}
	if describe {
		in.Action = policy.ActionDescribe
	}
	key := fmt.Sprintf("%s %+v", in.Action, *in.Plugin)
	g.mu.Lock()
	until, known := g.plugins[key]
	g.mu.Unlock()
	if known && time.Now().Before(until) {
		return nil
	}
	what := fmt.Sprintf("plugin %q (%s)", entry.Name, kind)
	d := g.decide(ctx, what, in)
	if !d.Allow {
		return &DeniedError{What: what, Decision: d}
	}
	g.tell(what, d)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.plugins[key] = time.Now().Add(trusted)
	return nil
}

// pluginOf describes a locked manifest to policies.
func pluginOf(kind registry.Kind, entry registry.Entry) *policy.Plugin {
	p := &policy.Plugin{
		Capabilities: policy.Capabilities{Network: []string{}, FS: []string{}, Secrets: []string{}, Other: []string{}},
		Name:         entry.Name, Version: entry.Manifest.Version, Kind: string(kind), Digest: "sha256:" + entry.SHA256, Publisher: entry.Manifest.Publisher,
		Locked: entry.Manifest.Name != "",
	}
	if component, ok := entry.Manifest.Component(kind); ok {
		for _, c := range component.Capabilities {
			switch c {
			case "network":
				p.Capabilities.Network = []string{"*"}
			case "filesystem":
				p.Capabilities.FS = []string{"*"}
			default:
				p.Capabilities.Other = append(p.Capabilities.Other, c)
			}
		}
	}
	return p
}

// notes are what policies say besides yes and no, in words.
func notes(d policy.Decision) []string {
	var out []string
	for _, r := range d.Reasons {
		switch r.Severity {
		case policy.Warn:
			out = append(out, "policy "+ReasonText(r))
		case policy.DryRun:
			out = append(out, "policy, tried out only: "+ReasonText(r))
		case policy.Exempt:
			out = append(out, "policy, exempt: "+ReasonText(r))
		case policy.Deny:
		}
	}
	return out
}

// Denied is the decision that keeps something from being done, if it was one.
func Denied(err error) (policy.Decision, bool) {
	if denied, ok := errors.AsType[*DeniedError](err); ok {
		return denied.Decision, true
	}
	if planned, ok := errors.AsType[*PlanError](err); ok {
		for _, f := range planned.Plan.Faults {
			if d, ok := Denied(f.Err); ok {
				return d, true
			}
		}
	}
	return policy.Decision{}, false
}
