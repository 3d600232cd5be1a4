package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// strength orders the methods of masks: of two, the stricter one counts.
var strength = map[string]int{
	"none": 0, "generalise": 1, "partial": 2, "hash": 3, "tokenise": 4, "redact": 5, "constant": 6, "null": 7, "drop": 8,
}

// combination gathers what the packages say into a decision.
type combination struct {
	policies *Policies
	decision *Decision
	input    *Input
	said     map[string][]Mask // by column
	drop     map[string]bool
	duties   []Obligation
	allows   bool // some package allows
	refuses  bool // some package that could allow does not
}

// combine applies the contract's rules: what denies, warns, drops and obliges adds up, the strictest mask counts, and what a package may
// not enforce is said but not done.
func (p *Policies) combine(d *Decision, in *Input, all []given) {
	c := &combination{policies: p, decision: d, input: in, said: map[string][]Mask{}, drop: map[string]bool{}}
	for _, g := range all {
		err := g.err
		if err == nil {
			err = c.take(g)
		}
		if err != nil {
			p.fail(d, g.pkg.severity, g.pkg, fmt.Errorf("%s: %w", g.rule, err))
		}
	}
	if in.Point == Access && (!c.allows || c.refuses) {
		c.reason(Reason{ID: "governance.access", Severity: Deny, Message: "no policy allows it"})
	}
	c.finish()
}

func (c *combination) take(g given) error {
	counts := g.pkg.severity
	switch {
	case g.rule == ruleAllow:
		return c.takeAllow(g)
	case g.value == nil:
		return nil // undefined: the rule has nothing to say
	case g.rule == ruleDeny:
		return c.takeReasons(g, counts)
	case g.rule == ruleWarn && counts == DryRun:
		return c.takeReasons(g, DryRun)
	case g.rule == ruleWarn:
		return c.takeReasons(g, Warn)
	case g.rule == ruleMask:
		return c.takeMasks(g)
	case g.rule == ruleDrop:
		return c.takeDrop(g)
	case g.rule == ruleObligation:
		return c.takeObligations(g)
	}
	return nil
}

func (c *combination) reason(r Reason) {
	if at, known := c.policies.places[r.ID]; known { // more than the package's
		r.File, r.Line = at.file, at.line
	}
	if !slices.Contains(c.decision.Reasons, r) {
		c.decision.Reasons = append(c.decision.Reasons, r)
	}
}

// said is what a set of a package holds.
func said[T any](value any, into *[]T) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// takeAllow takes the word of packages that enforce: each of them must allow.
func (c *combination) takeAllow(g given) error {
	yes, isBool := g.value.(bool)
	if g.value != nil && !isBool {
		return fmt.Errorf("gives %v, expected true or false", g.value)
	}
	if g.pkg.severity != Deny {
		return nil
	}
	c.allows, c.refuses = c.allows || yes, c.refuses || !yes
	return nil
}

func (c *combination) takeReasons(g given, s Severity) error {
	var list []struct{ ID, Msg, Path string }
	if err := said(g.value, &list); err != nil {
		return fmt.Errorf("expected a set of {id, msg, path}: %w", err)
	}
	for _, r := range list {
		if r.ID == "" || r.Msg == "" {
			return fmt.Errorf("gives a reason without id or msg: id %q, msg %q", r.ID, r.Msg)
		}
		reason := Reason{ID: r.ID, Severity: s, Message: r.Msg, Path: r.Path, Package: g.pkg.name, File: g.pkg.place.file, Line: g.pkg.place.line}
		if e, exempt := c.exempt(r.ID); exempt {
			reason.Severity = Exempt
			reason.Message += fmt.Sprintf(" (exempt by %s until %s)", e.By, e.Until)
		}
		c.reason(reason)
	}
	return nil
}

// exempt finds an exemption from a rule that holds at the input's time.
func (c *combination) exempt(rule string) (Exemption, bool) {
	now, err := time.Parse(time.RFC3339, c.input.Time)
	if err != nil {
		return Exemption{}, false
	}
	for _, e := range c.input.Exemptions {
		until, err := time.Parse(time.RFC3339, e.Until)
		of := e.Dataset == "" || c.input.Dataset != nil && e.Dataset == c.input.Dataset.Name
		if err == nil && e.Rule == rule && of && now.Before(until) {
			return e, true
		}
	}
	return Exemption{}, false
}

// enforced says whether an effect of a rule is to be had. What is not is told.
func (c *combination) enforced(g given, rule, effect string) bool {
	if e, exempt := c.exempt(rule); exempt {
		c.reason(Reason{
			ID: rule, Severity: Exempt, Package: g.pkg.name, File: g.pkg.place.file, Line: g.pkg.place.line,
			Message: fmt.Sprintf("would %s (exempt by %s until %s)", effect, e.By, e.Until),
		})
		return false
	}
	if s := g.pkg.severity; s != Deny {
		c.reason(Reason{
			ID: rule, Severity: s, Package: g.pkg.name, File: g.pkg.place.file, Line: g.pkg.place.line, Message: "would " + effect,
		})
		return false
	}
	return true
}

func (c *combination) takeMasks(g given) error {
	columns, ok := g.value.(map[string]any)
	if !ok {
		return fmt.Errorf("gives %T, expected an object of sets by column", g.value)
	}
	for _, column := range slices.Sorted(maps.Keys(columns)) {
		var list []struct {
			ID, Method string
			Args       map[string]any
		}
		if err := said(columns[column], &list); err != nil {
			return fmt.Errorf("column %q: expected a set of {id, method, args}: %w", column, err)
		}
		for _, m := range list {
			if _, known := strength[m.Method]; !known || m.ID == "" {
				return fmt.Errorf("column %q: id %q, method %q: an id is needed, and a method of %s",
					column, m.ID, m.Method, strings.Join(slices.Sorted(maps.Keys(strength)), ", "))
			}
			if c.enforced(g, m.ID, fmt.Sprintf("mask column %q by %s", column, m.Method)) {
				c.said[column] = append(c.said[column], Mask{Method: m.Method, Args: m.Args, Rules: []string{m.ID}})
			}
		}
	}
	return nil
}

// strictest is what becomes of a column: the strictest mask, which must be the only one of its strength.
func (c *combination) strictest(column string) (Mask, bool) {
	var out Mask
	for _, m := range c.said[column] {
		if out.Method == "" || strength[m.Method] > strength[out.Method] {
			out = m
		}
	}
	rules := []string{}
	for _, m := range c.said[column] {
		if m.Method != out.Method {
			continue
		}
		rules = append(rules, m.Rules...)
		if len(m.Args)+len(out.Args) > 0 && !reflect.DeepEqual(m.Args, out.Args) {
			c.reason(Reason{
				ID: ErrorRule, Severity: Deny, Path: "columns." + column,
				Message: fmt.Sprintf("column %q: %s and %s mask it by %s with different arguments, %v and %v",
					column, strings.Join(out.Rules, ", "), strings.Join(m.Rules, ", "), m.Method, out.Args, m.Args),
			})
			return out, false
		}
	}
	slices.Sort(rules)
	out.Rules = slices.Compact(rules)
	return out, true
}

func (c *combination) takeDrop(g given) error {
	var list []string
	if err := said(g.value, &list); err != nil {
		return fmt.Errorf("expected a set of columns: %w", err)
	}
	for _, column := range list {
		if c.enforced(g, g.pkg.name+".drop", fmt.Sprintf("drop column %q", column)) {
			c.drop[column] = true
		}
	}
	return nil
}

func (c *combination) takeObligations(g given) error {
	var list []Obligation
	if err := said(g.value, &list); err != nil {
		return fmt.Errorf("expected a set of {id, args}: %w", err)
	}
	for _, o := range list {
		if !slices.Contains(c.policies.settings.Obligations, o.ID) {
			return fmt.Errorf("obligation %q is not known, there are %q", o.ID, c.policies.settings.Obligations)
		}
		if !c.enforced(g, g.pkg.name+".obligation", fmt.Sprintf("oblige to %s", o.ID)) {
			continue
		}
		same := func(have Obligation) bool { return have.ID == o.ID && reflect.DeepEqual(have.Args, o.Args) }
		if !slices.ContainsFunc(c.duties, same) {
			o.Rules = []string{g.pkg.name}
			c.duties = append(c.duties, o)
		}
	}
	return nil
}

// finish writes the decision in an order of its own, not that of packages.
func (c *combination) finish() {
	d := c.decision
	for _, column := range slices.Sorted(maps.Keys(c.said)) {
		if slices.ContainsFunc(c.said[column], func(m Mask) bool { return m.Method == "drop" }) {
			c.drop[column] = true
		}
		if c.drop[column] {
			continue
		}
		m, fine := c.strictest(column)
		if !fine || m.Method == "none" {
			continue
		}
		if d.Masks == nil {
			d.Masks = map[string]Mask{}
		}
		d.Masks[column] = m
	}
	d.Drop = slices.Sorted(maps.Keys(c.drop))
	slices.SortStableFunc(c.duties, func(a, b Obligation) int { return strings.Compare(a.ID, b.ID) })
	d.Obligations = c.duties
}
