package policy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/qanat-data/qanat/core/policy"
)

// folder writes files into a folder of their own.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t testing.TB, files map[string]string) *policy.Policies {
	t.Helper()
	p, err := policy.Load(t.Context(), policy.Settings{Folders: []string{folder(t, files)}, Obligations: []string{"retain"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// people is a dataset with an address, a name and a number.
func people() *policy.Dataset {
	return &policy.Dataset{Name: "processing.shop.people", Zone: "processing", Columns: map[string]policy.Column{
		"id":    {Type: "int64"},
		"mail":  {Type: "utf8", Tags: []string{"pii.email"}},
		"phone": {Type: "utf8", DerivedFrom: []policy.Derived{{Column: "tel", Tags: []string{"pii.phone"}}}},
	}}
}

func plan() policy.Input {
	return policy.Input{Point: policy.Plan, Time: "2026-11-23T10:00:00Z", Principal: policy.Principal{ID: "svc"}, Purpose: "support", Dataset: people()}
}

const privacy = `package governance.plan.privacy

# METADATA
# labels: {id: P-1}
mask[column] contains {"id": "P-1", "method": "hash", "args": {"key": "pii"}} if {
	some column, c in input.dataset.columns
	"pii.email" in c.tags
}

# METADATA
# labels: {id: P-2}
deny contains {"id": "P-2", "msg": sprintf("the purpose %q is not registered", [input.purpose])} if not input.purpose in data.purposes
`

const purposes = `{"purposes": ["support"]}`

func TestDecisionsSayWhatTheRulesSay(t *testing.T) {
	t.Parallel()
	p := load(t, map[string]string{"privacy.rego": privacy, "data.json": purposes, "privacy_test.rego": "this is no policy"})
	d := p.Decide(t.Context(), plan())
	want := policy.Decision{
		Point: policy.Plan, Allow: true, Policy: p.Revision(), Time: "2026-11-23T10:00:00Z", RuleLabels: []map[string]any{{"id": "P-1"}},
		Masks: map[string]policy.Mask{"mail": {Method: "hash", Args: map[string]any{"key": "pii"}, Rules: []string{"P-1"}}},
	}
	varies := cmpopts.IgnoreFields(policy.Decision{}, "ID", "InputHash", "Took")
	if diff := cmp.Diff(want, d, varies, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	again := p.Decide(t.Context(), plan())
	if d.ID == "" || d.ID == again.ID || d.InputHash != again.InputHash {
		t.Errorf("ids %q and %q, hashes %q and %q", d.ID, again.ID, d.InputHash, again.InputHash)
	}
	in := plan()
	in.Purpose = "marketing"
	d = p.Decide(t.Context(), in)
	reasons := []policy.Reason{{
		ID: "P-2", Severity: policy.Deny, Message: `the purpose "marketing" is not registered`, Package: "governance.plan.privacy", Line: 10,
	}}
	if diff := cmp.Diff(reasons, d.Reasons, cmpopts.IgnoreFields(policy.Reason{}, "File")); diff != "" || d.Allow || d.Masks != nil {
		t.Errorf("allow %v, masks %v: %s", d.Allow, d.Masks, diff)
	}
	if filepath.Base(d.Reasons[0].File) != "privacy.rego" {
		t.Errorf("file %q", d.Reasons[0].File)
	}
	in.Point = policy.Promotion // nobody has anything to say there
	if d := p.Decide(t.Context(), in); !d.Allow {
		t.Errorf("promotion: %+v", d)
	}
}

// team is a package of a point with a body.
func team(point, name, enforcement, body string) string {
	head := ""
	if enforcement != "" {
		head = "# METADATA\n# custom: {enforcement: " + enforcement + "}\n"
	}
	return head + "package governance." + point + "." + name + "\n\n" + body + "\n"
}

func masks(id, method, args string) string {
	return fmt.Sprintf(`mask["mail"] contains {"id": %q, "method": %q, "args": %s}`, id, method, args)
}

func TestPackagesAreCombinedByTheContract(t *testing.T) {
	t.Parallel()
	deny := func(id string) string { return fmt.Sprintf(`deny contains {"id": %q, "msg": "no"}`, id) }
	type want struct {
		allow   bool
		reasons string // id:severity
		masks   string
		drop    string
		duties  string
	}
	for name, c := range map[string]struct {
		point policy.Point
		files []string
		want  want
	}{
		"all reasons count":         {policy.Plan, []string{team("plan", "a", "", deny("A")), team("plan", "b", "", deny("B"))}, want{reasons: "A:deny B:deny"}},
		"a dry run is told":         {policy.Plan, []string{team("plan", "a", "dryrun", deny("A")+"\n"+masks("M", "null", "{}"))}, want{allow: true, reasons: "A:dryrun M:dryrun"}},
		"a warning is told":         {policy.Plan, []string{team("plan", "a", "warn", deny("A")+"\n"+`drop contains "mail"`)}, want{allow: true, reasons: "A:warn governance.plan.a.drop:warn"}},
		"warn rules do not deny":    {policy.Plan, []string{team("plan", "a", "", `warn contains {"id": "W", "msg": "hm"}`)}, want{allow: true, reasons: "W:warn"}},
		"the strictest mask counts": {policy.Plan, []string{team("plan", "a", "", masks("A", "partial", `{"keep_last": 4}`)), team("plan", "b", "", masks("B", "hash", `{"key": "k"}`))}, want{allow: true, masks: "mail:hash:B"}},
		"equal masks agree":         {policy.Plan, []string{team("plan", "a", "", masks("A", "null", `{}`)), team("plan", "b", "", masks("B", "null", `{}`))}, want{allow: true, masks: "mail:null:A,B"}},
		"equally strict ones differ": {
			policy.Plan, []string{team("plan", "a", "", masks("A", "hash", `{"key": "x"}`)), team("plan", "b", "", masks("B", "hash", `{"key": "y"}`))},
			want{reasons: "governance.error:deny"},
		},
		"dropped beats masked":  {policy.Plan, []string{team("plan", "a", "", masks("A", "null", `{}`)), team("plan", "b", "", `drop contains "mail"`)}, want{allow: true, drop: "mail"}},
		"drop is a method, too": {policy.Plan, []string{team("plan", "a", "", masks("A", "drop", `{}`))}, want{allow: true, drop: "mail"}},
		"none is no mask":       {policy.Plan, []string{team("plan", "a", "", masks("A", "none", `{}`))}, want{allow: true}},
		"unknown method":        {policy.Plan, []string{team("plan", "a", "", masks("A", "scramble", `{}`))}, want{reasons: "governance.error:deny"}},
		"obligations are united": {
			policy.Plan, []string{team("plan", "a", "", `obligation contains {"id": "retain", "args": {"days": 1}}`), team("plan", "b", "", `obligation contains {"id": "retain", "args": {"days": 1}}`)},
			want{allow: true, duties: "retain"},
		},
		"unknown obligation": {policy.Plan, []string{team("plan", "a", "", `obligation contains {"id": "pray"}`)}, want{reasons: "governance.error:deny"}},
		"reason without id":  {policy.Plan, []string{team("plan", "a", "", `deny contains {"msg": "no"}`)}, want{reasons: "governance.error:deny"}},
		"reason of a text":   {policy.Plan, []string{team("plan", "a", "", `deny contains "no"`)}, want{reasons: "governance.error:deny"}},
		"error of a built-in": {
			policy.Plan, []string{team("plan", "a", "", `deny contains {"id": "A", "msg": "late"} if time.parse_rfc3339_ns("yesterday") > 0`)},
			want{reasons: "governance.error:deny"},
		},
		"error in a dry run":     {policy.Plan, []string{team("plan", "a", "dryrun", `deny contains "no"`)}, want{allow: true, reasons: "governance.error:dryrun"}},
		"access without allow":   {policy.Access, []string{team("access", "a", "", `warn contains {"id": "W", "msg": "hm"}`)}, want{reasons: "W:warn governance.access:deny"}},
		"access that is allowed": {policy.Access, []string{team("access", "a", "", `allow := true`)}, want{allow: true}},
		"access that one allows": {policy.Access, []string{team("access", "a", "", `allow := true`), team("access", "b", "", `default allow := false`)}, want{reasons: "governance.access:deny"}},
		"allow of a dry run":     {policy.Access, []string{team("access", "a", "dryrun", `allow := true`)}, want{reasons: "governance.access:deny"}},
		"another point's rules":  {policy.Plan, []string{team("egress", "a", "", deny("A"))}, want{allow: true}},
		"no such point":          {"spec_admit", []string{team("plan", "a", "", deny("A"))}, want{reasons: "governance.error:deny"}},
		"a stricter mask settles it": {
			policy.Plan, []string{team("plan", "a", "", masks("A", "hash", `{"key": "x"}`)), team("plan", "b", "", masks("B", "hash", `{"key": "y"}`)), team("plan", "c", "", masks("C", "null", "{}"))},
			want{allow: true, masks: "mail:null:C"},
		},
		"a drop settles it": {
			policy.Plan, []string{team("plan", "a", "", masks("A", "hash", `{"key": "x"}`)), team("plan", "b", "", masks("B", "hash", `{"key": "y"}`)), team("plan", "c", "", `drop contains "mail"`)},
			want{allow: true, drop: "mail"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{}
			for i, text := range c.files {
				files[fmt.Sprintf("%d.rego", i)] = text
			}
			in := plan()
			in.Point = c.point
			d := load(t, files).Decide(t.Context(), in)
			got := want{allow: d.Allow, drop: strings.Join(d.Drop, " ")}
			var parts []string
			for _, r := range d.Reasons {
				parts = append(parts, r.ID+":"+string(r.Severity))
			}
			got.reasons = strings.Join(parts, " ")
			for column, m := range d.Masks {
				got.masks += column + ":" + m.Method + ":" + strings.Join(m.Rules, ",")
			}
			for _, o := range d.Obligations {
				got.duties += o.ID
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\n%+v", diff, d.Reasons)
			}
		})
	}
}

func TestExemptionsHoldUntilTheirEnd(t *testing.T) {
	t.Parallel()
	exempt := func(rule, until, dataset string) string {
		return fmt.Sprintf(`{"exemptions": [{"rule": %q, "by": "dpo", "until": %q, "dataset": %q}], "purposes": []}`, rule, until, dataset)
	}
	for name, c := range map[string]struct {
		data  string
		allow bool
		masks int
	}{
		"from a denial":      {exempt("P-2", "2026-11-24T00:00:00Z", ""), true, 1},
		"of its dataset":     {exempt("P-2", "2026-11-24T00:00:00Z", "processing.shop.people"), true, 1},
		"of another dataset": {exempt("P-2", "2026-11-24T00:00:00Z", "processing.shop.orders"), false, 0},
		"that is over":       {exempt("P-2", "2026-11-23T10:00:00Z", ""), false, 0},
		"from another rule":  {exempt("P-3", "2026-11-24T00:00:00Z", ""), false, 0},
	} {
		d := load(t, map[string]string{"privacy.rego": privacy, "data.json": c.data}).Decide(t.Context(), plan())
		if d.Allow != c.allow || len(d.Masks) != c.masks {
			t.Errorf("%s: %+v", name, d)
		}
	}
	data := `{"exemptions": [{"rule": "P-1", "by": "dpo", "until": "2027-01-01T00:00:00Z"}], "purposes": ["support"]}`
	d := load(t, map[string]string{"privacy.rego": privacy, "data.json": data}).Decide(t.Context(), plan())
	if !d.Allow || len(d.Masks) != 0 || len(d.Reasons) != 1 || d.Reasons[0].Severity != policy.Exempt || !strings.Contains(d.Reasons[0].Message, "dpo") {
		t.Errorf("from a mask: %+v", d)
	}
}

func TestWhatCannotBeLoadedIsSaidByFileAndLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"syntax":            {"package governance.plan.a\n\ndeny contains", "a.rego:3"},
		"unknown function":  {"package governance.plan.a\n\nx := nothing(1)", "undefined function nothing"},
		"network":           {"package governance.plan.a\n\nx := http.send({})", "a.rego:3:6: undefined function http.send"},
		"clock":             {"package governance.plan.a\n\nx := time.now_ns()", "undefined function time.now_ns"},
		"chance":            {"package governance.plan.a\n\nx := rand.intn(\"x\", 3)", "undefined function rand.intn"},
		"unknown point":     {"package governance.run.a\n\nx := 1", `a.rego:1:1: package "governance.run.a": expected governance.<point>.<team>, with a point of plugin_load`},
		"no team":           {"package governance.plan\n\nx := 1", "expected governance.<point>.<team>"},
		"enforcement":       {"# METADATA\n# custom: {enforcement: maybe}\npackage governance.plan.a\n\nx := 1", "enforcement is maybe, expected one of deny, warn, dryrun"},
		"memory":            {"package governance.plan.a\n\nx := bits.lsh(1, 1000000000000)", "undefined function bits.lsh"},
		"decides nothing":   {"package governance.plan.a\n\ndenny contains \"x\"", "decides nothing: it has none of the rules deny, warn, mask"},
		"another's rule":    {"package governance.spec_admit.a\n\ndeny contains \"x\"\n\nmask := {}", `rule "mask" is not asked for at spec.admit`},
		"misspelt package":  {"package goverance.spec_admit.a\n\ndeny contains \"x\"", `rule "deny" in package "goverance.spec_admit.a" is never asked for`},
		"only helpers":      {"package lib\n\nx := 1", "no package decides anything"},
		"unsafe variable":   {"package governance.plan.a\n\nx if y > 1", "y is unsafe"},
		"recursion":         {"package governance.plan.a\n\nx if y\n\ny if x", "recursive"},
		"misspelt input":    {"package governance.plan.a\n\nx if input.purpos == \"a\"", "a.rego:3:6: undefined ref: input.purpos"},
		"misspelt field":    {"package governance.plan.a\n\nx if input.plugin.nmae == \"a\"", "undefined ref: input.plugin.nmae"},
		"another type":      {"package governance.plan.a\n\nx if input.purpose == 1", "a.rego:3:6: match error"},
		"no policies":       {"", "there are no policies"},
		"broken exemptions": {"package governance.plan.a\n\nx := 1 # data: {\"exemptions\": [{\"rule\": \"A\"}]}", "a rule, a person and an end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"a.rego": c.text}
			if c.text == "" {
				files = map[string]string{"README.md": ""}
			}
			if _, data, ok := strings.Cut(c.text, "# data: "); ok {
				files["data.json"] = data
			}
			_, err := policy.Load(t.Context(), policy.Settings{Folders: []string{folder(t, files)}})
			if _, ok := errors.AsType[*policy.FaultsError](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, expected %q", err, c.want)
			}
		})
	}
	if _, err := policy.Load(t.Context(), policy.Settings{Folders: []string{filepath.Join(t.TempDir(), "none")}}); err == nil {
		t.Error("a folder that is not there was loaded")
	}
}

// One file can't take the word of another that says nothing about it.
func TestFilesOfAPackageAgreeOnItsEnforcement(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"a.rego": team("plan", "a", "", `deny contains {"id": "A", "msg": "no"}`), "b.rego": team("plan", "a", "dryrun", `warn contains {"id": "B", "msg": "hm"}`),
	})
	_, err := policy.Load(t.Context(), policy.Settings{Folders: []string{dir}, Base: dir})
	if err == nil || !strings.Contains(err.Error(), "b.rego:1:1: package \"governance.plan.a\": enforcement is dryrun in this file and deny in another") {
		t.Errorf("got %v", err)
	}
}

func TestPoliciesAreFilesOfTheirFolder(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"a.rego": privacy})
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "more")); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Load(t.Context(), policy.Settings{Folders: []string{dir}}); err == nil || !strings.Contains(err.Error(), "not symbolic links") {
		t.Errorf("got %v", err)
	}
	one := load(t, map[string]string{"privacy.rego": privacy, "a/data.json": purposes, "b/x.rego": "package lib"})
	other := load(t, map[string]string{"privacy.rego": privacy, "b/data.json": purposes, "a/x.rego": "package lib"})
	if one.Revision() == other.Revision() {
		t.Error("data in another place has the same digest")
	}
}

func TestManyDecisionsAtOnceAreNoFault(t *testing.T) {
	t.Parallel()
	p := load(t, map[string]string{"privacy.rego": privacy, "data.json": purposes})
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if d := p.Decide(t.Context(), plan()); !d.Allow {
				t.Errorf("%+v", d.Reasons)
			}
		})
	}
	all.Wait()
}

func TestAllFaultsAreSaidAtOnce(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"a.rego": "package governance.plan.a\n\nx := nothing(1)\n\ny := nothing(2)", "b.rego": "package governance.plan.b\n\nz := none(1)"})
	_, err := policy.Load(t.Context(), policy.Settings{Folders: []string{dir}})
	faults, ok := errors.AsType[*policy.FaultsError](err)
	if !ok || len(faults.Faults) != 3 {
		t.Errorf("got %v", err)
	}
}

// A policy that would go on for ever, data that is far too large, and one that stops for another's sake: each ends in time, denied.
func TestFaultsDenyInBoundedTime(t *testing.T) {
	t.Parallel()
	endless := "package governance.plan.a\n\ndeny contains {\"id\": \"A\", \"msg\": \"x\"} if {\n" +
		"\tsome a in numbers.range(1, 3000)\n\tsome b in numbers.range(1, 3000)\n\tsome c in numbers.range(1, 3000)\n\ta * b * c == 0\n}\n"
	p, err := policy.Load(t.Context(), policy.Settings{Folders: []string{folder(t, map[string]string{"a.rego": endless})}, Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	d := p.Decide(t.Context(), plan())
	if d.Allow || len(d.Reasons) != 1 || d.Reasons[0].ID != policy.ErrorRule || !strings.Contains(d.Reasons[0].Message, "within 200ms") {
		t.Errorf("endless: %+v", d)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d := load(t, map[string]string{"privacy.rego": privacy, "data.json": purposes}).Decide(ctx, plan()); d.Allow {
		t.Errorf("allowed though nobody was asked: %+v", d)
	}
	large := `{"list": "` + strings.Repeat("x", 2<<20) + `"}`
	_, err = policy.Load(t.Context(), policy.Settings{Folders: []string{folder(t, map[string]string{"a.rego": privacy, "data.json": large})}, MaxBytes: 1 << 20})
	if err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("large data: %v", err)
	}
}

// BenchmarkDecide asks a hundred packages about a dataset of two hundred columns.
func BenchmarkDecide(b *testing.B) {
	files := map[string]string{"data.json": purposes}
	for n := range 100 {
		files[fmt.Sprintf("p%d.rego", n)] = strings.ReplaceAll(strings.ReplaceAll(privacy, "privacy", fmt.Sprintf("t%d", n)), "P-", fmt.Sprintf("P%d-", n))
	}
	p := load(b, files)
	in := plan()
	in.Dataset.Columns = map[string]policy.Column{}
	for n := range 200 {
		c := policy.Column{Type: "utf8", Tags: []string{"internal"}}
		if n%20 == 0 {
			c.Tags = append(c.Tags, "pii.email")
		}
		in.Dataset.Columns[fmt.Sprintf("column_%d", n)] = c
	}
	for b.Loop() {
		if d := p.Decide(b.Context(), in); !d.Allow || len(d.Masks) != 10 {
			b.Fatalf("%+v", d)
		}
	}
}
