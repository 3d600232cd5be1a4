package policy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	published "github.com/qanat-data/qanat/specs/policy"
)

const (
	// DefaultTimeout is how long a decision may take.
	DefaultTimeout = time.Second
	// DefaultMaxBytes is how large policies and their data may be: OPA takes about twenty times as much memory for data.
	DefaultMaxBytes = 16 << 20
)

// Settings say what to load.
type Settings struct {
	Folders []string
	// Base is a folder from which files are named in reasons and faults.
	Base    string
	Timeout time.Duration // of a decision; 0: DefaultTimeout
	// MaxBytes of all files together; 0: DefaultMaxBytes.
	MaxBytes int64
	// Obligations are those that the host can carry out. Any other denies.
	Obligations []string
	// Points, if given, are those at which the host asks: packages of others are faults, as nobody would obey them.
	Points []Point
	// Now, if given, tells the time of decisions whose input says none.
	Now func() time.Time
}

// Policies are what was loaded, ready to decide. They are safe for concurrent use.
type Policies struct {
	settings   Settings
	revision   Revision
	compiler   *ast.Compiler
	store      storage.Store
	packages   map[Point][]*pkg
	places     map[string]place // of rules, by id
	exemptions []Exemption
	stuck      stuck
}

// place is where something is written.
type place struct {
	file string
	line int
}

// Load reads all policies (*.rego but not *_test.rego) and data documents (data.json, data.yaml, and others named *.json, *.yaml) below
// the folders. It fails with all that is wrong with them, by file and line.
func Load(ctx context.Context, s Settings) (*Policies, error) {
	s.Timeout = cmp.Or(s.Timeout, DefaultTimeout)
	p, err := load(ctx, s)
	return p, s.placed(err)
}

// placed names the files of faults as people know them.
func (s Settings) placed(err error) error {
	if faults, ok := errors.AsType[*FaultsError](err); ok {
		for i := range faults.Faults {
			faults.Faults[i].File = s.shown(faults.Faults[i].File)
		}
	}
	return err
}

// written is what lies in the folders.
type written struct {
	modules   map[string]*ast.Module
	documents map[string]any
	digest    string
}

// read reads the files that are wanted. None is parsed if there are too many bytes.
func (s Settings) read(wanted func(path string) bool) (written, error) {
	s.MaxBytes = cmp.Or(s.MaxBytes, int64(DefaultMaxBytes))
	files, err := find(s.Folders, wanted)
	if err != nil {
		return written{}, err
	}
	digest, err := s.digestOf(files)
	if err != nil {
		return written{}, err
	}
	read, err := loader.NewFileLoader().WithProcessAnnotation(true).WithRegoVersion(ast.RegoV1).WithCapabilities(capabilities()).
		Filtered(s.Folders, func(path string, info os.FileInfo, _ int) bool { return !info.IsDir() && !wanted(path) })
	if err != nil {
		return written{}, faultsOf(err)
	}
	out := written{modules: map[string]*ast.Module{}, documents: read.Documents, digest: digest}
	for _, m := range read.Modules {
		out.modules[m.Name] = m.Parsed
	}
	return out, nil
}

// shown is a file's name as people know it.
func (s Settings) shown(file string) string {
	if short, err := filepath.Rel(s.Base, file); s.Base != "" && file != "" && err == nil && filepath.IsLocal(short) {
		return short
	}
	return file
}

func load(ctx context.Context, s Settings) (*Policies, error) {
	found, err := s.read(wanted)
	if err != nil {
		return nil, err
	}
	p := &Policies{settings: s, revision: Revision{Digest: found.digest}, places: map[string]place{}}
	if revision, ok := found.documents["revision"].(string); ok {
		p.revision.Revision = revision
	}
	told, err := inputSchema()
	if err != nil {
		return nil, err
	}
	p.compiler = ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true).WithDefaultRegoVersion(ast.RegoV1).WithUseTypeCheckAnnotations(true).
		WithSchemas(told)
	if p.compiler.Compile(found.modules); p.compiler.Failed() {
		return nil, faultsOf(p.compiler.Errors)
	}
	p.store = inmem.NewFromObjectWithOpts(found.documents, inmem.OptReturnASTValuesOnRead(true), inmem.OptRoundTripOnWrite(false))
	if p.exemptions, err = exemptionsOf(found.documents["exemptions"]); err != nil {
		return nil, err
	}
	return p, p.prepare(ctx)
}

// inputSchema lets the compiler find what policies ask for that they are never told.
func inputSchema() (*ast.SchemaSet, error) {
	var schema map[string]any
	if err := json.Unmarshal(published.Input, &schema); err != nil {
		return nil, fmt.Errorf("schema of inputs: %w", err)
	}
	delete(schema, "$schema") // of a draft that OPA does not know by name
	delete(schema, "$id")
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, any(schema))
	return set, nil
}

// Revision is what was loaded.
func (p *Policies) Revision() Revision { return p.revision }

// wanted are policies and documents, but no tests.
func wanted(path string) bool {
	if strings.HasPrefix(filepath.Base(path), ".") {
		return false
	}
	switch filepath.Ext(path) {
	case ".rego":
		return !strings.HasSuffix(path, "_test.rego")
	case ".json", ".yaml", ".yml":
		return true
	}
	return false
}

// find lists the files, in order.
func find(folders []string, wanted func(path string) bool) ([]string, error) {
	var files []string
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type()&fs.ModeSymlink != 0 {
				return &FaultsError{Faults: []Fault{{File: path, Message: "policies are files, not symbolic links"}}}
			}
			if err == nil && !entry.IsDir() && wanted(path) {
				files = append(files, path)
			}
			return err
		})
		if faults, ok := errors.AsType[*FaultsError](err); ok {
			return nil, faults
		}
		if err != nil {
			return nil, fmt.Errorf("policies: %w", err)
		}
	}
	slices.Sort(files)
	if !slices.ContainsFunc(files, func(path string) bool { return filepath.Ext(path) == ".rego" }) {
		return nil, &FaultsError{Faults: []Fault{{File: strings.Join(folders, ", "), Message: "there are no policies (*.rego) here"}}}
	}
	return files, nil
}

// digestOf names the content of files.
func (s Settings) digestOf(files []string) (string, error) {
	sum := sha256.New()
	var size int64
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("policies: %w", err)
		}
		if size += info.Size(); size > s.MaxBytes {
			return "", &FaultsError{Faults: []Fault{{
				File: path, Message: fmt.Sprintf("policies and their data are larger than %d bytes; large sets belong into tables, not into data", s.MaxBytes),
			}}}
		}
		text, err := os.ReadFile(path) //nolint:gosec // the operator names the folders
		if err != nil {
			return "", fmt.Errorf("policies: %w", err)
		}
		one := sha256.Sum256(text)
		fmt.Fprintf(sum, "%q %x\n", s.within(path), one)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// unbounded are built-ins that can take any amount of memory at once, or that look at the clock or at where they run.
var unbounded = []string{
	ast.BitsShiftLeft.Name, ast.CryptoX509ParseAndVerifyCertificates.Name, ast.CryptoX509ParseAndVerifyCertificatesWithOptions.Name,
}

// within is a file's path below its folder, by which data documents have their place.
func (s Settings) within(path string) string {
	for i, folder := range s.Folders {
		if short, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(short) {
			return fmt.Sprint(i, " ", filepath.ToSlash(short))
		}
	}
	return path
}

// capabilities are OPA's without those that give another answer at another time or place.
func capabilities() *ast.Capabilities {
	caps := ast.CapabilitiesForThisVersion()
	caps.Builtins = slices.DeleteFunc(slices.Clone(caps.Builtins), func(b *ast.Builtin) bool {
		return b.Nondeterministic || slices.Contains(unbounded, b.Name)
	})
	caps.AllowNet = []string{}
	return caps
}

// Fault is something wrong with a policy.
type Fault struct {
	File    string
	Line    int
	Column  int
	Message string
}

// String gives the place and what is wrong.
func (f Fault) String() string {
	switch {
	case f.File == "":
		return f.Message
	case f.Line == 0:
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// FaultsError is everything that is wrong with policies.
type FaultsError struct{ Faults []Fault }

// Error implements error.
func (e *FaultsError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// faultsOf finds places in what OPA reports.
func faultsOf(err error) error {
	var found []Fault
	var add func(error)
	add = func(err error) {
		if list, ok := errors.AsType[ast.Errors](err); ok {
			for _, e := range list {
				add(e)
			}
			return
		}
		if list, ok := errors.AsType[loader.Errors](err); ok {
			for _, e := range list {
				add(e)
			}
			return
		}
		if e, ok := errors.AsType[*ast.Error](err); ok {
			f := Fault{Message: e.Message}
			if e.Location != nil {
				f.File, f.Line, f.Column = e.Location.File, e.Location.Row, e.Location.Col
			}
			found = append(found, f)
			return
		}
		found = append(found, Fault{Message: err.Error()})
	}
	add(err)
	slices.SortStableFunc(found, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &FaultsError{Faults: found}
}
