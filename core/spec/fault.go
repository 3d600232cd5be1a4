package spec

import (
	"io"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// Fault is one thing that is wrong with a file; see yamltree.Fault.
type Fault = yamltree.Fault

// Position is a place in a file.
type Position = yamltree.Position

// Severity says whether a fault stops the work.
type Severity = yamltree.Severity

// The severities of faults.
const (
	Error   = yamltree.Error
	Warning = yamltree.Warning
)

// HasErrors tells whether any of the faults is an error.
func HasErrors(faults []Fault) bool { return yamltree.HasErrors(faults) }

// Print writes faults for people, sorted by place, each with its excerpt and hint.
func Print(w io.Writer, faults []Fault, color bool) error { return yamltree.Print(w, faults, color) }

// Show writes a spec's Node as YAML, each value followed by the file and line that it comes from.
// References stay as they are written; plain secrets, as far as their keys give them away, are masked.
func Show(w io.Writer, n *Node) error { return yamltree.Show(w, n) }
