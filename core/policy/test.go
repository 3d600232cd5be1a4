package policy

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestReport is what came of the tests of policies.
type TestReport struct {
	Results []TestResult `json:"results"`
	// Coverage is the share of lines that tests have run, in percent, and NotCovered are the others, file:line; both only if asked for.
	Coverage   float64  `json:"coverage,omitempty"`
	NotCovered []string `json:"not_covered,omitempty"`
}

// TestResult is one test's.
type TestResult struct {
	Package string        `json:"package"`
	Name    string        `json:"name"`
	Place   string        `json:"place"`
	Pass    bool          `json:"pass"`
	Skip    bool          `json:"skip,omitempty"` // its name begins with todo_
	Error   string        `json:"error,omitempty"`
	Output  string        `json:"output,omitempty"` // what it printed
	Took    time.Duration `json:"took_ns"`
}

// Failed counts the tests that did not pass.
func (r TestReport) Failed() int {
	n := 0
	for _, one := range r.Results {
		if !one.Pass && !one.Skip {
			n++
		}
	}
	return n
}

// Test runs the rules that begin with test_, of all files. Policies are restricted as Load restricts them.
func Test(ctx context.Context, s Settings, covered bool) (TestReport, error) {
	report, err := test(ctx, s, covered)
	return report, s.placed(err)
}

func test(ctx context.Context, s Settings, covered bool) (TestReport, error) {
	found, err := s.read(func(path string) bool { return wanted(path) || isTest(path) })
	if err != nil {
		return TestReport{}, err
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities()).WithDefaultRegoVersion(ast.RegoV1).WithEnablePrintStatements(true)
	runner := tester.NewRunner().SetCompiler(compiler).SetStore(inmem.NewFromObject(found.documents)).RaiseBuiltinErrors(true).
		CapturePrintOutput(true).SetTimeout(30 * time.Second).SetDefaultRegoVersion(ast.RegoV1)
	var seen *cover.Cover
	if covered {
		seen = cover.New()
		runner = runner.SetCoverageQueryTracer(seen)
	}
	results, err := runner.SetModules(found.modules).RunTests(ctx, nil)
	if err != nil {
		return TestReport{}, faultsOf(err)
	}
	var report TestReport
	for r := range results {
		report.Results = append(report.Results, s.result(r))
	}
	if covered {
		s.coverage(&report, seen.Report(found.modules))
	}
	return report, nil
}

func isTest(path string) bool { return strings.HasSuffix(path, "_test.rego") }

func (s Settings) result(r *tester.Result) TestResult {
	out := TestResult{
		Package: strings.TrimPrefix(r.Package, "data."), Name: r.Name, Pass: r.Pass(), Skip: r.Skip, Output: string(r.Output), Took: r.Duration,
		Place: fmt.Sprintf("%s:%d", s.shown(r.Location.File), r.Location.Row),
	}
	if r.Error != nil {
		out.Error = r.Error.Error()
	}
	return out
}

func (s Settings) coverage(report *TestReport, c cover.Report) {
	run, all := 0, 0
	for file, f := range c.Files {
		if isTest(file) {
			continue
		}
		run, all = run+f.CoveredLines, all+f.CoveredLines+f.NotCoveredLines
		for _, r := range f.NotCovered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				report.NotCovered = append(report.NotCovered, fmt.Sprintf("%s:%d", s.shown(file), row))
			}
		}
	}
	slices.Sort(report.NotCovered)
	report.NotCovered = slices.Compact(report.NotCovered)
	if all > 0 {
		report.Coverage = 100 * float64(run) / float64(all)
	}
}

// Format brings policies into Rego's canonical form, or, without write, only tells which are not in it.
func Format(s Settings, write bool) (changed []string, err error) {
	for _, folder := range s.Folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".rego" {
				return err
			}
			text, err := os.ReadFile(path) //nolint:gosec // the operator names the folders
			if err != nil {
				return err
			}
			formatted, err := format.SourceWithOpts(path, text, format.Opts{RegoVersion: ast.RegoV1})
			if err != nil {
				return faultsOf(err)
			}
			if bytes.Equal(text, formatted) {
				return nil
			}
			changed = append(changed, s.shown(path))
			if !write {
				return nil
			}
			return os.WriteFile(path, formatted, 0o644) //nolint:gosec // policies are for all to read
		})
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}
