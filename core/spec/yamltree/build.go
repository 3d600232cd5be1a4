package yamltree

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// builder turns the syntax tree of one document into nodes.
type builder struct {
	src     *source
	shift   int // lines of the file before the document
	anchors map[string]*Node
	budget  int // values that may still be made
	faults  []Fault
}

// open marks an anchor whose value is still being built: an alias to it would never end.
var open = &Node{}

// fault notes what is wrong at a token; hint may be empty.
func (b *builder) fault(t *token.Token, code, message, hint string) {
	line, column, width := b.place(t)
	b.faults = append(b.faults, b.src.fault(code, message, line, column, width).WithHint(hint))
}

func (b *builder) place(t *token.Token) (line, column, width int) {
	if t == nil || t.Position == nil {
		return 0, 0, 1
	}
	written := strings.TrimSpace(t.Origin)
	first, _, _ := strings.Cut(written, "\n")
	return t.Position.Line + b.shift, t.Position.Column, max(1, len([]rune(first)))
}

func (b *builder) node(kind Kind, t *token.Token, scalar string) *Node {
	line, column, width := b.place(t)
	return &Node{kind: kind, scalar: scalar, src: b.src, line: line, column: column, width: width, size: 1}
}

// spend counts values against the budget; a document that runs out is cut off with one fault.
func (b *builder) spend(t *token.Token, values int) bool {
	if b.budget < 0 {
		return false
	}
	b.budget -= values
	if b.budget < 0 {
		b.fault(t, "too-large", fmt.Sprintf("the document has more than %d values with its aliases expanded", MaxValues), "")
		return false
	}
	return true
}

func (b *builder) build(n ast.Node) *Node {
	if n == nil {
		return nil
	}
	t := n.GetToken()
	if !b.spend(t, 1) {
		return b.node(Null, t, "")
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return b.mapping(n.Values, n.Start)
	case *ast.MappingValueNode:
		return b.mapping([]*ast.MappingValueNode{n}, t)
	case *ast.SequenceNode:
		return b.sequence(n)
	case *ast.AnchorNode:
		return b.anchor(n)
	case *ast.AliasNode:
		return b.alias(n)
	case *ast.TagNode:
		return b.tag(n)
	}
	return b.scalar(n, t)
}

func (b *builder) sequence(n *ast.SequenceNode) *Node {
	list := b.node(List, n.Start, "")
	list.width = 1
	for _, value := range n.Values {
		item := b.build(value)
		if item == nil {
			item = b.node(Null, n.Start, "")
		}
		list.items = append(list.items, item)
		list.size += item.size
	}
	return list
}

func (b *builder) mapping(values []*ast.MappingValueNode, start *token.Token) *Node {
	m := b.node(Map, start, "")
	m.width = 1
	if len(values) > 0 && start.Type != token.MappingStartType {
		m.line, m.column, m.width = b.place(keyToken(values[0].Key))
	}
	own := make(map[string]place, len(values))
	var inherited []Entry
	for _, v := range values {
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			inherited = append(inherited, b.inherit(v)...)
			continue
		}
		b.entry(m, own, v)
	}
	for _, e := range inherited {
		if _, ok := own[e.Key]; !ok {
			own[e.Key] = e.key
			m.entries = append(m.entries, e)
			m.size += 1 + e.Value.size
		}
	}
	return m
}

func (b *builder) entry(m *Node, own map[string]place, v *ast.MappingValueNode) {
	t := keyToken(v.Key)
	name, ok := keyName(v.Key)
	if !ok {
		b.fault(t, "bad-key", "a key must be plain text", "")
		return
	}
	line, column, width := b.place(t)
	at := place{b.src, line, column, width}
	if first, twice := own[name]; twice {
		b.fault(t, "duplicate-key", fmt.Sprintf("key %q is given twice", name),
			fmt.Sprintf("it is first given on line %d; keep one of them", first.line))
		return
	}
	own[name] = at
	value := b.build(v.Value)
	if value == nil {
		value = b.node(Null, t, "")
	}
	m.entries = append(m.entries, Entry{Key: name, Value: value, key: at})
	m.size += 1 + value.size
}

func keyToken(key ast.MapKeyNode) *token.Token {
	switch k := key.(type) {
	case *ast.TagNode:
		return k.Value.GetToken()
	case *ast.AnchorNode:
		return k.Value.GetToken()
	case *ast.MappingKeyNode:
		if k.Value != nil {
			return k.Value.GetToken()
		}
	}
	return key.GetToken()
}

// keyName is the text of a key as written; only scalars other than null can be one.
func keyName(key ast.Node) (string, bool) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return k.GetToken().Value, true
	case *ast.AnchorNode:
		return keyName(k.Value)
	case *ast.TagNode:
		return keyName(k.Value)
	case *ast.MappingKeyNode:
		return keyName(k.Value)
	}
	return "", false
}

// inherit is what a merge key (<<) brings in.
func (b *builder) inherit(v *ast.MappingValueNode) []Entry {
	before := len(b.faults)
	value := b.build(v.Value)
	if len(b.faults) > before {
		return nil
	}
	sources := []*Node{value}
	if value.Kind() == List {
		sources = value.items
	}
	var entries []Entry
	for _, s := range sources {
		if s.Kind() != Map {
			b.fault(v.Key.GetToken(), "bad-merge", "<< takes a map or a list of maps, not "+s.Kind().String(), "")
			return nil
		}
		if !b.spend(v.Key.GetToken(), len(s.entries)) {
			return nil
		}
		entries = append(entries, s.entries...)
	}
	return entries
}

func (b *builder) anchor(n *ast.AnchorNode) *Node {
	name := n.Name.GetToken().Value
	b.anchors[name] = open
	value := b.build(n.Value)
	if value == nil {
		value = b.node(Null, n.Start, "")
	}
	b.anchors[name] = value
	return value
}

func (b *builder) alias(n *ast.AliasNode) *Node {
	t := n.Value.GetToken()
	value, ok := b.anchors[t.Value]
	switch {
	case !ok:
		b.fault(n.Start, "unknown-anchor", fmt.Sprintf("no anchor %q is set before this alias", t.Value),
			fmt.Sprintf("set it with &%s, or quote the text if no alias is meant", t.Value))
	case value == open:
		b.fault(n.Start, "endless-alias", fmt.Sprintf("anchor %q contains itself", t.Value), "")
	case b.spend(n.Start, value.size):
		return value
	}
	return b.node(Null, n.Start, "")
}

func (b *builder) tag(n *ast.TagNode) *Node {
	if n.Value == nil {
		return b.node(Null, n.Start, "")
	}
	value := b.build(n.Value)
	fits := map[string]Kind{"!!bool": Bool, "!!int": Number, "!!float": Number, "!!map": Map, "!!seq": List, "!!null": Null}
	name := n.Start.Value
	kind, known := fits[name]
	switch {
	case name == "!!str" && value.kind != List && value.kind != Map:
		value = b.node(Text, n.Value.GetToken(), value.scalar)
	case !known && name != "!!str":
		b.fault(n.Start, "bad-tag", fmt.Sprintf("unknown tag %q", name), "leave tags out, or quote the text")
	case kind != value.kind:
		b.fault(n.Start, "bad-tag", fmt.Sprintf("the tag %s does not fit %s", name, value.kind), "")
	}
	return value
}

// leadingZero is a number that YAML 1.1 reads as octal and YAML 1.2 as decimal.
var leadingZero = regexp.MustCompile(`^[-+]?0[0-9_]+$`)

// coreNumber is a number of the YAML 1.2 core schema; the parser leaves large ones and exponents as text.
var coreNumber = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?$`)

func (b *builder) scalar(n ast.Node, t *token.Token) *Node {
	switch n := n.(type) {
	case *ast.NullNode:
		return b.node(Null, t, "")
	case *ast.BoolNode:
		return b.node(Bool, t, strconv.FormatBool(n.Value))
	case *ast.IntegerNode:
		if leadingZero.MatchString(t.Value) {
			b.fault(t, "ambiguous", fmt.Sprintf("%s is a decimal number to some readers and an octal one to others", t.Value),
				"quote it if it is text; drop the leading zeros if it is a number")
		}
		return b.node(Number, t, fmt.Sprint(n.Value))
	case *ast.FloatNode:
		return b.node(Number, t, decimal(t.Value, n.Value))
	case *ast.LiteralNode:
		text := b.node(Text, n.Start, n.Value.Value)
		text.width = len(strings.TrimSpace(n.Start.Value))
		return text
	case *ast.StringNode:
		if t.Type == token.StringType && coreNumber.MatchString(n.Value) && len(n.Value) < 100 {
			return b.node(Number, t, decimal(n.Value, 0))
		}
		return b.node(Text, t, n.Value)
	}
	b.fault(t, "bad-value", fmt.Sprintf("%q can't be used here", strings.TrimSpace(t.Value)), "")
	return b.node(Null, t, "")
}

// decimal is a number in JSON's spelling, with the digits as written where JSON allows them.
func decimal(written string, value float64) string {
	text := strings.TrimPrefix(strings.ReplaceAll(written, "_", ""), "+")
	if json.Valid([]byte(text)) {
		return text
	}
	if f, _, err := big.ParseFloat(text, 10, 256, big.ToNearestEven); err == nil {
		return f.Text('g', -1)
	}
	return strconv.FormatFloat(value, 'g', -1, 64)
}
