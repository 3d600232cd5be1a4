package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// The names of rules that the host asks for.
const (
	ruleAllow      = "allow"
	ruleDeny       = "deny"
	ruleWarn       = "warn"
	ruleMask       = "mask"
	ruleDrop       = "drop"
	ruleObligation = "obligation"
)

// allowed are the rules that are asked for at each point.
var allowed = map[Point][]string{
	PluginLoad: {ruleDeny, ruleWarn},
	SpecAdmit:  {ruleDeny, ruleWarn, ruleObligation},
	Plan:       {ruleDeny, ruleWarn, ruleMask, ruleDrop, ruleObligation},
	Promotion:  {ruleDeny, ruleWarn, ruleObligation},
	Egress:     {ruleDeny, ruleWarn, ruleMask, ruleDrop},
	Access:     {ruleAllow, ruleDeny, ruleWarn, ruleMask, ruleDrop},
	Lifecycle:  {ruleDeny, ruleWarn, ruleObligation},
}

// pkg is one team's package for a point.
type pkg struct {
	name     string   // governance.plan.privacy
	severity Severity // what its word counts: Deny, Warn or DryRun
	place    place
	queries  map[string]rego.PreparedEvalQuery // by rule
}

// Package is a package of a point.
type Package struct {
	Name        string
	Point       Point
	Enforcement Severity
	File        string
	Line        int
}

// Packages are all packages that decide, by point and name.
func (p *Policies) Packages() []Package {
	var out []Package
	for _, point := range Points() {
		for _, one := range p.packages[point] {
			out = append(out, Package{Name: one.name, Point: point, Enforcement: one.counts(), File: one.place.file, Line: one.place.line})
		}
	}
	return out
}

// prepare finds the packages of each point and readies their rules.
func (p *Policies) prepare(ctx context.Context) error {
	p.packages = map[Point][]*pkg{}
	var faults []Fault
	byName := map[string]*pkg{}
	rules := map[string]map[string]bool{}
	for _, file := range slices.Sorted(maps.Keys(p.compiler.Modules)) {
		m := p.compiler.Modules[file]
		p.note(m)
		point, name, ours, err := pointOf(m)
		if err != nil {
			faults = append(faults, *err)
		}
		if !ours {
			continue
		}
		one := byName[name]
		if one == nil {
			one = &pkg{name: name, place: p.at(m.Package.Location), queries: map[string]rego.PreparedEvalQuery{}}
			byName[name], rules[name] = one, map[string]bool{}
			p.packages[point] = append(p.packages[point], one)
		}
		if err := one.enforce(m); err != nil {
			faults = append(faults, *err)
		}
		for _, rule := range m.Rules {
			rules[name][string(rule.Head.Ref()[0].Value.(ast.Var))] = true
		}
	}
	if len(faults) > 0 {
		return &FaultsError{Faults: faults}
	}
	for point, all := range p.packages {
		for _, one := range all {
			for _, rule := range allowed[point] {
				if !rules[one.name][rule] {
					continue
				}
				if err := p.prepareRule(ctx, one, rule); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *Policies) prepareRule(ctx context.Context, one *pkg, rule string) error {
	q, err := rego.New(
		rego.Query("data."+one.name+"."+rule), rego.Compiler(p.compiler), rego.Store(p.store), rego.StrictBuiltinErrors(true),
	).PrepareForEval(ctx)
	if err != nil {
		return faultsOf(err)
	}
	one.queries[rule] = q
	return nil
}

// pointOf reads a package's point from its path: governance.<point>.<team>. Other packages are there for those.
func pointOf(m *ast.Module) (point Point, name string, ours bool, fault *Fault) {
	name = strings.TrimPrefix(m.Package.Path.String(), "data.")
	parts := strings.Split(name, ".")
	if parts[0] != "governance" {
		return "", name, false, nil
	}
	known := make([]string, 0, len(Points()))
	for _, p := range Points() {
		segment := strings.ReplaceAll(string(p), ".", "_")
		known = append(known, segment)
		if len(parts) == 3 && parts[1] == segment {
			return p, name, true, nil
		}
	}
	l := at(m.Package.Location)
	return "", name, false, &Fault{
		File: l.file, Line: l.line, Column: 1,
		Message: fmt.Sprintf("package %q: expected governance.<point>.<team>, with a point of %s", name, strings.Join(known, ", ")),
	}
}

// enforce reads how much a package's word counts from the metadata of the package.
func (p *pkg) enforce(m *ast.Module) *Fault {
	for _, a := range m.Annotations {
		if a.Scope != "package" {
			continue
		}
		value, said := a.Custom["enforcement"]
		if !said {
			continue
		}
		text, _ := value.(string)
		s := Severity(text)
		if s != Deny && s != Warn && s != DryRun || p.severity != "" && p.severity != s {
			l := at(a.Location)
			return &Fault{File: l.file, Line: l.line, Column: 1, Message: fmt.Sprintf(
				"package %q: enforcement is %v, expected one of deny, warn, dryrun, the same in all files of a package", p.name, value)}
		}
		p.severity = s
	}
	return nil
}

// counts is how much the word of the package counts.
func (p *pkg) counts() Severity {
	if p.severity == "" {
		return Deny
	}
	return p.severity
}

// note remembers where rules with an id are.
func (p *Policies) note(m *ast.Module) {
	for _, a := range m.Annotations {
		if id, ok := a.Labels["id"].(string); ok && a.Location != nil {
			p.places[id] = p.at(a.Location)
		}
	}
}

func at(l *ast.Location) place {
	if l == nil {
		return place{}
	}
	return place{file: l.File, line: l.Row}
}

// at is a place as people know it.
func (p *Policies) at(l *ast.Location) place {
	found := at(l)
	found.file = p.settings.shown(found.file)
	return found
}

// exemptionsOf reads the document "exemptions" that comes with the policies.
func exemptionsOf(document any) ([]Exemption, error) {
	if document == nil {
		return nil, nil
	}
	text, err := json.Marshal(document)
	var out []Exemption
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return nil, &FaultsError{Faults: []Fault{{Message: "data.exemptions: expected a list of {rule, by, until, ticket, dataset}: " + err.Error()}}}
	}
	for _, e := range out {
		if _, err := time.Parse(time.RFC3339, e.Until); err != nil || e.Rule == "" || e.By == "" {
			return nil, &FaultsError{Faults: []Fault{{Message: fmt.Sprintf(
				"data.exemptions: the one of rule %q by %q until %q: a rule, a person and an end (RFC 3339) are needed", e.Rule, e.By, e.Until)}}}
		}
	}
	return out, nil
}
