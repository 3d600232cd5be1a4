package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// part is a piece of text: literal, or a reference to a value kept elsewhere.
type part struct {
	scheme   string // "" for literal text, env or file
	text     string // the literal, the variable's name or the file's path
	fallback string
	optional bool // a fallback was given, if only an empty one
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parts cuts text into literals and references. $${ stands for a literal ${.
func parts(text string) ([]part, error) {
	var found []part
	var literal strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "${")
		if !ok {
			literal.WriteString(text)
			break
		}
		if escaped, isEscape := strings.CutSuffix(before, "$"); isEscape {
			literal.WriteString(escaped + "${")
			text = rest
			continue
		}
		literal.WriteString(before)
		body, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, &valueError{"a reference has no closing brace", "write ${env:NAME} or ${file:path}; $${ stands for a plain ${"}
		}
		reference, err := parseReference(body)
		if err != nil {
			return nil, err
		}
		found = append(found, part{text: literal.String()}, reference)
		literal.Reset()
		text = after
	}
	return append(found, part{text: literal.String()}), nil
}

func parseReference(body string) (part, error) {
	scheme, name, ok := strings.Cut(body, ":")
	switch {
	case ok && scheme == "file" && name != "":
		return part{scheme: scheme, text: name}, nil
	case ok && scheme == "env":
		name, fallback, optional := strings.Cut(name, ":-")
		if envName.MatchString(name) {
			return part{scheme: scheme, text: name, fallback: fallback, optional: optional}, nil
		}
		return part{}, &valueError{fmt.Sprintf("%q is not the name of an environment variable", name), "write ${env:NAME} or ${env:NAME:-default}"}
	case envName.MatchString(body):
		return part{}, &valueError{fmt.Sprintf("reference ${%s} says not where the value is kept", body),
			fmt.Sprintf("write ${env:%s}; $${ stands for a plain ${", body)}
	}
	return part{}, &valueError{fmt.Sprintf("unknown reference ${%s}", body), "write ${env:NAME} or ${file:path}; $${ stands for a plain ${"}
}

// hasReference tells whether a value refers to one kept elsewhere.
func hasReference(n *Node) bool {
	if n.Kind() != yamltree.Text {
		return false
	}
	found, err := parts(n.Text())
	return err == nil && len(found) > 1
}

// checkReferences faults what starts like a reference and is none.
func checkReferences(n *Node) []Fault {
	var faults []Fault
	n.Rewrite(func(path string, scalar *Node) *Node {
		if scalar.Kind() != yamltree.Text {
			return scalar
		}
		if _, err := parts(scalar.Text()); err != nil {
			faults = append(faults, faultOf(n, path, "bad-reference", err))
		}
		return scalar
	})
	return faults
}

// faultOf is an error at a place of a tree, with the hint that the error may carry.
func faultOf(n *Node, path, code string, err error) Fault {
	f := n.Fault(path, code, err.Error())
	if hinted, ok := errors.AsType[yamltree.Hinted](err); ok {
		f.Hint = hinted.Hint()
	}
	return f
}
