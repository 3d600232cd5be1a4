package contract

import (
	"fmt"
	"math"
	"regexp"
	"strconv"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// shape is what a YAML node looks like to ODCS.
type shape string

const (
	isNull    shape = "null"
	isBool    shape = "a boolean"
	isNumber  shape = "a number"
	isText    shape = "a string"
	isList    shape = "a list"
	isMapping shape = "a mapping"
)

// node is a YAML node with aliases, merge keys and tags resolved.
type node struct {
	place Place
	shape shape
	// value is nil, bool, int64, uint64, float64 or string.
	value  any
	number Number
	items  []*node
	keys   []entry
	index  map[string]int
}

type entry struct {
	name  string
	place Place
	value *node
}

// Bounds on what a document may unfold to: aliases can make ten lines into billions of nodes.
const (
	maxNodes = 1 << 20
	maxDepth = 100
)

// unfolder turns a syntax tree into nodes.
type unfolder struct {
	report  *report
	anchors map[string]ast.Node
	nodes   int
}

func (u *unfolder) place(n ast.Node, path string) Place {
	p := Place{File: u.report.file, Path: path}
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	return p
}

// node never returns nil: what can't be used is reported and becomes null.
func (u *unfolder) node(n ast.Node, path string, depth int) *node {
	if n == nil {
		return &node{place: Place{File: u.report.file, Path: path}, shape: isNull}
	}
	u.nodes++
	out := &node{place: u.place(n, path), shape: isNull}
	if u.nodes > maxNodes || depth > maxDepth {
		u.report.once(out.place, fmt.Sprintf("expected at most %d values, nested at most %d deep", maxNodes, maxDepth))
		return out
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		out = u.node(n.Value, path, depth+1)
		u.anchors[n.Name.GetToken().Value] = n.Value
		return out
	case *ast.AliasNode:
		return u.alias(n, path, depth)
	case *ast.TagNode:
		return u.tagged(n, path, depth)
	case *ast.SequenceNode:
		out.shape = isList
		for i, v := range n.Values {
			out.items = append(out.items, u.node(v, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
	case *ast.MappingNode:
		out.shape = isMapping
		u.mapping(out, n.Values, depth)
	case *ast.MappingValueNode:
		out.shape = isMapping
		u.mapping(out, []*ast.MappingValueNode{n}, depth)
	default:
		u.scalar(out, n)
	}
	return out
}

func (u *unfolder) scalar(out *node, n ast.Node) {
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		out.shape, out.value = isBool, n.Value
	case *ast.IntegerNode:
		out.shape, out.value = isNumber, n.Value
		out.number = Number(fmt.Sprint(n.Value))
		if v, ok := n.Value.(uint64); ok && v <= 1<<63-1 {
			out.value = int64(v)
		}
	case *ast.FloatNode:
		u.float(out, n.Token.Value, n.Value)
	case *ast.InfinityNode:
		u.float(out, n.Token.Value, n.Value)
	case *ast.NanNode:
		u.float(out, n.Token.Value, math.NaN())
	case *ast.StringNode:
		out.shape, out.value = isText, n.Value
		if n.Token.Type == token.StringType && exponentFloat.MatchString(n.Value) {
			value, _ := strconv.ParseFloat(n.Value, 64)
			u.float(out, n.Value, value)
		}
	case *ast.LiteralNode:
		out.shape, out.value = isText, n.Value.Value
	default:
		u.report.fault(out.place, fmt.Sprintf("expected a YAML value, found %s", n.Type()), "")
	}
}

// exponentFloat is a number to YAML 1.2 and JSON that the parser takes for text, as it has no point: 1e3.
var exponentFloat = regexp.MustCompile(`^[-+]?[0-9]+[eE][-+]?[0-9]+$`)

func (u *unfolder) float(out *node, written string, value float64) {
	text, ok := floatText(written, value)
	if !ok {
		u.report.fault(out.place, fmt.Sprintf("expected a number between 1e-%d and 1e%d, found %s", maxExponent, maxExponent, written), "")
		return
	}
	out.shape, out.value, out.number = isNumber, value, Number(text)
}

func (u *unfolder) alias(n *ast.AliasNode, path string, depth int) *node {
	name := n.Value.GetToken().Value
	target, ok := u.anchors[name]
	if !ok {
		at := u.place(n, path)
		u.report.fault(at, fmt.Sprintf("no anchor %q stands before this alias", name), "")
		return &node{place: at, shape: isNull}
	}
	return u.node(target, path, depth+1)
}

func (u *unfolder) tagged(n *ast.TagNode, path string, depth int) *node {
	out := u.node(n.Value, path, depth+1)
	if n.Start.Value == "!!str" && out.shape != isList && out.shape != isMapping && n.Value != nil {
		out.shape, out.value = isText, n.Value.GetToken().Value
	}
	return out
}

func (u *unfolder) mapping(out *node, values []*ast.MappingValueNode, depth int) {
	var merged []*node
	for _, v := range values {
		if v.Key.IsMergeKey() {
			merged = append(merged, u.node(v.Value, out.place.Path, depth+1))
			continue
		}
		u.pair(out, v, depth)
	}
	for _, m := range merged {
		u.merge(out, m)
	}
}

func (u *unfolder) pair(out *node, v *ast.MappingValueNode, depth int) {
	if _, ok := v.Key.(ast.ScalarNode); !ok {
		u.report.fault(u.place(v.Key, out.place.Path), "expected a plain key", "")
		return
	}
	name := v.Key.GetToken().Value
	path := name
	if out.place.Path != "" {
		path = out.place.Path + "." + name
	}
	at := u.place(v.Key, path)
	if first := out.key(name); first != nil {
		u.report.fault(at, fmt.Sprintf("key %q is already given in line %d", name, first.place.Line), "")
		return
	}
	out.add(entry{name: name, place: at, value: u.node(v.Value, path, depth+1)})
}

// merge adds the keys that out doesn't give itself, as YAML's "<<" asks for.
func (u *unfolder) merge(out, from *node) {
	switch from.shape {
	case isMapping:
		for _, e := range from.keys {
			if out.key(e.name) == nil {
				out.add(e)
			}
		}
	case isList:
		for _, item := range from.items {
			u.merge(out, item)
		}
	default:
		u.report.fault(from.place, fmt.Sprintf("expected a mapping to merge, found %s", from.shape), "")
	}
}

func (n *node) add(e entry) {
	if n.index == nil {
		n.index = map[string]int{}
	}
	n.index[e.name] = len(n.keys)
	n.keys = append(n.keys, e)
}

func (n *node) key(name string) *entry {
	if i, ok := n.index[name]; ok {
		return &n.keys[i]
	}
	return nil
}

// plain gives the value as nil, bool, int64, uint64, float64, string, []any or map[string]any.
func (n *node) plain() any {
	switch n.shape {
	case isList:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.plain()
		}
		return out
	case isMapping:
		out := make(map[string]any, len(n.keys))
		for _, e := range n.keys {
			out[e.name] = e.value.plain()
		}
		return out
	}
	return n.value
}

// shown names what stands there, for messages.
func (n *node) shown() string {
	switch n.shape {
	case isText:
		return fmt.Sprintf("the string %q", n.value)
	case isNumber:
		return fmt.Sprintf("the number %s", n.number)
	case isBool:
		return fmt.Sprintf("the boolean %v", n.value)
	}
	return string(n.shape)
}
