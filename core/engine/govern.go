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

	"github.com/qanat-data/qanat/core/policy"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/registry"
)

// asked are the points at which this version asks.
var asked = []policy.Point{policy.PluginLoad, policy.SpecAdmit}

// DeniedError says that policies don't allow something.
type DeniedError struct {
	What     string // pipeline "orders", plugin "source-file"
	Decision policy.Decision
}

// Error gives every reason with the rule's place.
func (e *DeniedError) Error() string {
	lines := []string{fmt.Sprintf("%s: denied by policy at %s", e.What, e.Decision.Point)}
	for _, r := range e.Decision.Denied() {
		lines = append(lines, "  "+reasonText(r))
	}
	return strings.Join(lines, "\n")
}

func reasonText(r policy.Reason) string {
	text := r.ID + ": " + r.Message
	if r.File != "" {
		text += fmt.Sprintf(" (%s:%d)", r.File, r.Line)
	}
	return text
}

// governor asks the project's policies for leave. Without policies everything is allowed.
type governor struct {
	policies *policy.Policies
	input    policy.Input // what is the same for all decisions of a command
	record   func(ctx context.Context, d Decided) error

	mu      sync.Mutex
	plugins map[string]policy.Decision // by kind and digest
}

// newGovernor loads the policies. What can't be loaded, or is about a point at which this version does not ask, keeps everything from
// being done: governance is not left out silently.
func newGovernor(ctx context.Context, dir string, p *spec.Project, record func(context.Context, Decided) error) (*governor, error) {
	g := &governor{record: record, plugins: map[string]policy.Decision{}}
	if len(p.Policies) == 0 {
		return g, nil
	}
	var err error
	if g.policies, err = policy.Load(ctx, PolicySettings(dir, p)); err != nil {
		return nil, &PolicyError{Err: err}
	}
	for _, one := range g.policies.Packages() {
		if !slices.Contains(asked, one.Point) {
			return nil, &PolicyError{Err: fmt.Errorf("%s:%d: package %q: this version can't decide at %s yet, so nothing is run", one.File, one.Line, one.Name, one.Point)}
		}
	}
	g.input = policy.Input{Environment: p.Environment, Principal: principalOf(p)}
	return g, nil
}

// PolicySettings are those of a project's policies.
func PolicySettings(dir string, p *spec.Project) policy.Settings {
	settings := policy.Settings{Base: dir}
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
func principalOf(p *spec.Project) policy.Principal {
	if s := p.Principal; s.ID != "" {
		kind := s.Kind
		if kind == "" {
			kind = "service"
		}
		return policy.Principal{ID: s.ID, Kind: kind, Groups: s.Groups, Clearance: s.Clearance}
	}
	out := policy.Principal{Kind: "user"}
	me, err := user.Current()
	if err != nil {
		return out
	}
	out.ID = me.Username
	ids, err := me.GroupIds()
	if err != nil {
		return out
	}
	for _, id := range ids {
		if group, err := user.LookupGroupId(id); err == nil {
			out.Groups = append(out.Groups, group.Name)
		}
	}
	return out
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

// admit asks whether a pipeline may be.
func (g *governor) admit(ctx context.Context, p *spec.Pipeline) (policy.Decision, error) {
	if g.policies == nil {
		return policy.Decision{Allow: true}, nil
	}
	what := fmt.Sprintf("pipeline %q", p.Name)
	d := g.decide(ctx, what, policy.Input{Point: policy.SpecAdmit, Purpose: p.Purpose, Spec: p.Node.Value()})
	if !d.Allow {
		return d, &DeniedError{What: what, Decision: d}
	}
	return d, nil
}

// admitPlugin asks whether a plugin's process may start. Of one that is not in the lock file yet, only its name and digest are known.
func (g *governor) admitPlugin(ctx context.Context, kind registry.Kind, entry registry.Entry) error {
	if g.policies == nil {
		return nil
	}
	known := string(kind) + " " + entry.SHA256 + " " + entry.Manifest.Version
	g.mu.Lock()
	defer g.mu.Unlock()
	what := fmt.Sprintf("plugin %q (%s)", entry.Name, kind)
	d, decided := g.plugins[known]
	if !decided {
		d = g.decide(ctx, what, policy.Input{Point: policy.PluginLoad, Plugin: pluginOf(kind, entry)})
		g.plugins[known] = d
	}
	if !d.Allow {
		return &DeniedError{What: what, Decision: d}
	}
	return nil
}

// pluginOf describes a locked manifest to policies.
func pluginOf(kind registry.Kind, entry registry.Entry) *policy.Plugin {
	p := &policy.Plugin{
		Name: entry.Name, Version: entry.Manifest.Version, Kind: string(kind), Digest: "sha256:" + entry.SHA256, Publisher: entry.Manifest.Publisher,
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
			out = append(out, "policy "+reasonText(r))
		case policy.DryRun:
			out = append(out, "policy, tried out only: "+reasonText(r))
		case policy.Exempt:
			out = append(out, "policy, exempt: "+reasonText(r))
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
