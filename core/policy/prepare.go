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

// contract are the names of rules that mean something at some point.
var contract = map[string]bool{
	ruleAllow: true, ruleDeny: true, ruleWarn: true, ruleMask: true, ruleDrop: true, ruleObligation: true, "filter": true,
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
			out = append(out, Package{Name: one.name, Point: point, Enforcement: one.severity, File: one.place.file, Line: one.place.line})
		}
	}
	return out
}

// prepare finds the packages of each point and readies their rules.
func (p *Policies) prepare(ctx context.Context) error {
	s := survey{policies: p, packages: map[string]*surveyed{}}
	for _, file := range slices.Sorted(maps.Keys(p.compiler.Modules)) {
		s.module(p.compiler.Modules[file])
	}
	s.judge()
	if len(s.faults) > 0 {
		return &FaultsError{Faults: s.faults}
	}
	p.packages = map[Point][]*pkg{}
	for _, name := range slices.Sorted(maps.Keys(s.packages)) {
		one := s.packages[name]
		p.packages[one.point] = append(p.packages[one.point], one.pkg)
		for _, rule := range one.asked() {
			if err := p.prepareRule(ctx, one.pkg, rule); err != nil {
				return err
			}
		}
	}
	return nil
}

// survey gathers the packages that decide from the files that they are written in, with all that is wrong with them.
type survey struct {
	policies *Policies
	packages map[string]*surveyed // by name
	faults   []Fault
}

// surveyed is a package with the point that it speaks at, and the names of its rules.
type surveyed struct {
	*pkg
	point Point
	rules map[string]bool
}

// asked are the rules of the package that are asked for.
func (s *surveyed) asked() []string {
	return slices.DeleteFunc(slices.Clone(allowed[s.point]), func(rule string) bool { return !s.rules[rule] })
}

func (s *survey) fault(at place, format string, args ...any) {
	s.faults = append(s.faults, Fault{File: at.file, Line: at.line, Column: 1, Message: fmt.Sprintf(format, args...)})
}

func (s *survey) module(m *ast.Module) {
	s.policies.note(m)
	point, name, decides, err := pointOf(m)
	if err != nil {
		s.faults = append(s.faults, *err)
	}
	if !decides {
		s.stray(m, name)
		return
	}
	one := s.packages[name]
	if one == nil {
		fresh := &pkg{name: name, place: s.policies.at(m.Package.Location), queries: map[string]rego.PreparedEvalQuery{}}
		one = &surveyed{pkg: fresh, point: point, rules: map[string]bool{}}
		s.packages[name] = one
	}
	if err := one.enforce(m); err != nil {
		s.faults = append(s.faults, *err)
	}
	for _, rule := range m.Rules {
		said := nameOf(rule)
		one.rules[said] = true
		if contract[said] && !slices.Contains(allowed[point], said) {
			s.fault(at(rule.Location), "package %q: rule %q is not asked for at %s, which has %s", name, said, point, strings.Join(allowed[point], ", "))
		}
	}
}

// stray finds rules of the contract in a package that is never asked, as one whose name is misspelt.
func (s *survey) stray(m *ast.Module, name string) {
	for _, rule := range m.Rules {
		if said := nameOf(rule); contract[said] && len(rule.Head.Args) == 0 {
			s.fault(at(rule.Location), "rule %q in package %q is never asked for: packages that decide are called governance.<point>.<team>", said, name)
			return
		}
	}
}

// judge finds packages that nobody would obey.
func (s *survey) judge() {
	for _, name := range slices.Sorted(maps.Keys(s.packages)) {
		one := s.packages[name]
		if points := s.policies.settings.Points; len(points) > 0 && !slices.Contains(points, one.point) {
			s.fault(one.place, "package %q: this version does not ask at %s yet, so nobody would obey it", name, one.point)
		}
		if len(one.asked()) == 0 {
			s.fault(one.place, "package %q decides nothing: it has none of the rules %s", name, strings.Join(allowed[one.point], ", "))
		}
	}
	if len(s.faults)+len(s.packages) == 0 {
		s.faults = append(s.faults, Fault{
			File:    strings.Join(s.policies.settings.Folders, ", "),
			Message: "no package decides anything: there is no governance.<point>.<team>",
		})
	}
}

// nameOf is the first part of a rule's name.
func nameOf(rule *ast.Rule) string { return string(rule.Head.Ref()[0].Value.(ast.Var)) }

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
	said := Deny // what says nothing denies
	where := m.Package.Location
	for _, a := range m.Annotations {
		if a.Scope != "package" {
			continue
		}
		value, given := a.Custom["enforcement"]
		if !given {
			continue
		}
		text, _ := value.(string)
		said, where = Severity(text), a.Location
		if said != Deny && said != Warn && said != DryRun {
			l := at(where)
			return &Fault{File: l.file, Line: l.line, Column: 1, Message: fmt.Sprintf(
				"package %q: enforcement is %v, expected one of deny, warn, dryrun", p.name, value)}
		}
	}
	if p.severity != "" && p.severity != said {
		l := at(where)
		return &Fault{File: l.file, Line: l.line, Column: 1, Message: fmt.Sprintf(
			"package %q: enforcement is %s in this file and %s in another; it is the same in all files of a package, and deny where nothing is said",
			p.name, said, p.severity)}
	}
	p.severity = said
	return nil
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
