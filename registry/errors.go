package registry

import (
	"fmt"
	"strings"
)

// ChangedError says that a binary is not the one that the lock file pins. It may be an update or an attack; a person decides, by
// accepting it with "qanat plugin lock".
type ChangedError struct {
	Plugin string // name
	File   string // below a plugin folder
	Locked string // sha-256 in the lock file
	Found  string // sha-256 of the binary
}

// Error implements error.
func (e *ChangedError) Error() string {
	return fmt.Sprintf("plugin %q: the binary %q has changed: its sha-256 is %s, locked is %s; if that is intended, accept it with \"qanat plugin lock\"",
		e.Plugin, e.File, e.Found, e.Locked)
}

// ConflictError says that two binaries claim to be the same plugin.
type ConflictError struct {
	Kind   Kind
	Plugin string
	Locked string // file that the lock names
	Found  string // file that claims it as well
}

// Error implements error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s plugin %q is locked to the binary %q, but %q claims that name as well; remove one, or accept the other with \"qanat plugin lock\"",
		e.Kind, e.Plugin, e.Locked, e.Found)
}

// MissingError says that no binary serves a plugin.
type MissingError struct {
	Kind   Kind
	Name   string
	File   string   // that the lock file names; empty for a plugin that is not locked
	Looked []string // plugin folders
	Found  []string // files of plugins that are there
}

// Error implements error.
func (e *MissingError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s plugin %q is missing: ", e.Kind, e.Name)
	if e.File != "" {
		fmt.Fprintf(&b, "the locked binary %q is not in ", e.File)
	} else {
		fmt.Fprintf(&b, "expected a binary %q in ", ConventionalFile(e.Kind, e.Name))
	}
	if len(e.Looked) == 0 {
		return b.String() + "a plugin folder, but the project names none"
	}
	b.WriteString(strings.Join(e.Looked, ", "))
	if len(e.Found) == 0 {
		return b.String() + ", where no plugins are"
	}
	return b.String() + "; there are " + strings.Join(e.Found, ", ")
}

// ManifestError says that a running plugin describes itself differently than when it was locked. Policies have judged the locked
// manifest, so it may not run.
type ManifestError struct {
	Plugin      string
	File        string
	Differences []string // the parts that differ
}

// Error implements error.
func (e *ManifestError) Error() string {
	return fmt.Sprintf("plugin %q: the binary %q does not describe itself as in the lock file, the differences are in %s",
		e.Plugin, e.File, strings.Join(e.Differences, ", "))
}
