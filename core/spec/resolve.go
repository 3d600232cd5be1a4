package spec

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// Resolver turns references into values and remembers them as secret. It is safe for concurrent use.
type Resolver struct {
	dir    string
	below  []string
	lookup func(string) (string, bool)

	mu       sync.RWMutex
	secrets  map[string]bool
	redactor *strings.Replacer
}

// ResolverSettings says where references lead.
type ResolverSettings struct {
	// Dir is the project folder: paths of files are relative to it and lie below it.
	Dir string
	// FilesBelow lists further folders that files may lie below; relative ones start from Dir.
	FilesBelow []string
	// Lookup finds environment variables; os.LookupEnv if nil.
	Lookup func(name string) (string, bool)
}

// NewResolver makes a resolver. It reads nothing yet.
func NewResolver(s ResolverSettings) *Resolver {
	r := &Resolver{dir: s.Dir, below: []string{s.Dir}, lookup: s.Lookup, secrets: map[string]bool{}, redactor: redactor(nil)}
	if r.lookup == nil {
		r.lookup = os.LookupEnv
	}
	for _, folder := range s.FilesBelow {
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(s.Dir, folder)
		}
		r.below = append(r.below, folder)
	}
	return r
}

// Resolve is the tree with references replaced by their values, as text. A reference that leads nowhere
// is a fault at its place.
func (r *Resolver) Resolve(n *Node) (*Node, []Fault) {
	var faults []Fault
	resolved := n.Rewrite(func(path string, scalar *Node) *Node {
		if scalar.Kind() != yamltree.Text || !strings.Contains(scalar.Text(), "${") {
			return scalar
		}
		text, err := r.text(scalar.Text())
		if err != nil {
			faults = append(faults, faultOf(n, path, "bad-reference", err))
			return scalar
		}
		return scalar.WithText(text)
	})
	return resolved, faults
}

// Project is the project with references replaced.
func (r *Resolver) Project(p *Project) (*Project, []Fault) {
	if p.Node == nil {
		return p, nil
	}
	node, faults := r.Resolve(p.Node)
	if len(faults) > 0 {
		return nil, faults
	}
	resolved, faults := decodeProject(node, p.Name)
	resolved.Policies = p.Policies
	return resolved, faults
}

func (r *Resolver) text(written string) (string, error) {
	found, err := parts(written)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range found {
		value, err := r.part(p)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
	}
	if len(found) > 1 {
		r.remember(b.String())
	}
	return b.String(), nil
}

func (r *Resolver) part(p part) (string, error) {
	switch p.scheme {
	case "env":
		return r.env(p)
	case "file":
		return r.file(p.text)
	}
	return p.text, nil
}

func (r *Resolver) env(p part) (string, error) {
	value, set := r.lookup(p.text)
	switch {
	case set && (value != "" || !p.optional):
		r.remember(value)
		return value, nil
	case p.optional:
		return p.fallback, nil
	}
	return "", &valueError{fmt.Sprintf("environment variable %s is not set", p.text),
		fmt.Sprintf("set it, or give a default: ${env:%s:-…}", p.text)}
}

const largestSecretFile = 1 << 20

// file reads a file below one of the allowed folders. Links are followed first and the result is opened
// through os.Root, so that no link leads out, not even one that changes in between.
func (r *Resolver) file(name string) (string, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", unreadable(name, err)
	}
	for _, folder := range r.below {
		folder, err = filepath.EvalSymlinks(folder)
		if err != nil {
			continue // a folder that doesn't exist holds no files
		}
		if rel, err := filepath.Rel(folder, real); err == nil && filepath.IsLocal(rel) {
			return r.read(folder, rel, name)
		}
	}
	return "", &valueError{fmt.Sprintf("file %q lies outside of the project folder", name), "allow its folder with files_below in qanat.yaml"}
}

func (r *Resolver) read(folder, rel, name string) (string, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", unreadable(name, err)
	}
	defer root.Close()
	info, err := root.Stat(rel)
	if err != nil {
		return "", unreadable(name, err)
	}
	if !info.Mode().IsRegular() {
		return "", &valueError{fmt.Sprintf("%q is not a regular file", name), ""}
	}
	f, err := root.Open(rel)
	if err != nil {
		return "", unreadable(name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, largestSecretFile+1))
	switch {
	case err != nil:
		return "", unreadable(name, err)
	case len(data) > largestSecretFile:
		return "", &valueError{fmt.Sprintf("file %q is larger than %d KiB", name, largestSecretFile>>10), ""}
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	r.remember(value)
	return value, nil
}

func unreadable(name string, err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		err = pathErr.Err
	}
	return &valueError{fmt.Sprintf("can't read file %q: %v", name, err), "paths are relative to the project folder"}
}

// shortestSecret keeps redaction from tearing up all output where a reference holds a word such as "1".
const shortestSecret = 4

// remember keeps a value for redaction, and in the forms in which it may turn up in a message: the
// password of a URL or of a key=value string by itself, and the escaped forms of each.
func (r *Resolver) remember(value string) {
	forms := []string{value, strings.TrimSpace(value)}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		if password, ok := u.User.Password(); ok {
			forms = append(forms, password)
		}
	}
	for word := range strings.FieldsSeq(value) {
		if password, ok := strings.CutPrefix(word, "password="); ok {
			forms = append(forms, strings.Trim(password, "'"))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, form := range forms {
		for _, spelled := range []string{form, url.QueryEscape(form), url.PathEscape(form), quoted(form)} {
			if len(spelled) >= shortestSecret {
				r.secrets[spelled] = true
			}
		}
	}
	r.redactor = redactor(r.secrets)
}

// quoted is text as it stands between the quotes of %q.
func quoted(text string) string {
	q := fmt.Sprintf("%q", text)
	return q[1 : len(q)-1]
}

// redactor replaces the longest secrets first: one may be part of another.
func redactor(secrets map[string]bool) *strings.Replacer {
	known := slices.SortedFunc(maps.Keys(secrets), func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	})
	pairs := make([]string, 0, 2*len(known))
	for _, secret := range known {
		pairs = append(pairs, secret, hidden)
	}
	return strings.NewReplacer(pairs...)
}

// Redact replaces every value that a reference led to, of four characters or more, by a mark.
func (r *Resolver) Redact(text string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.redactor.Replace(text)
}
