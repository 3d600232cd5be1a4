package yamltree

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Kind is the sort of value that a node holds.
type Kind int

// The kinds of YAML's core schema; numbers keep the digits that were written.
const (
	Null Kind = iota
	Bool
	Number
	Text
	List
	Map
)

// String names the kind for messages.
func (k Kind) String() string {
	return [...]string{"nothing", "true or false", "a number", "text", "a list", "a map"}[k]
}

// Node is one value of a document. Nodes are never changed after they are built: aliases and merged
// documents share them.
type Node struct {
	kind    Kind
	scalar  string // text of a Number or Text; "true" or "false" of a Bool
	entries []Entry
	items   []*Node

	src                 *source
	line, column, width int
	path                string // pointer of a node that Capture took out of its document
	size                int    // values below and including this one, aliases expanded
}

// Entry is one key of a map with its value.
type Entry struct {
	Key   string
	Value *Node
	key   place
}

// place is where a key stands; it may be in another file than the map it was merged into.
type place struct {
	src                 *source
	line, column, width int
}

// Kind is the sort of value; a nil node is Null.
func (n *Node) Kind() Kind {
	if n == nil {
		return Null
	}
	return n.kind
}

// Position is where the value stands.
func (n *Node) Position() Position {
	if n == nil || n.src == nil {
		return Position{}
	}
	return Position{n.src.name, n.line, n.column}
}

// Conceal keeps the value out of all excerpts and listings from here on: for plain secrets, once it is
// known that they are secret.
func (n *Node) Conceal() {
	if n != nil && n.src != nil {
		n.src.conceal(n.line, n.column, n.width)
	}
}

func (n *Node) concealed() bool {
	return n != nil && n.src != nil && n.src.concealed(n.line, n.column, n.width)
}

// Path is the JSON pointer of a captured node in its document.
func (n *Node) Path() string {
	if n == nil {
		return ""
	}
	return n.path
}

// Capture is the node as seen at a path, for values that leave their document: faults found in it later
// carry the full path.
func (n *Node) Capture(path string) *Node {
	c := *n
	c.path = path
	return &c
}

// Moved is the node standing where another one does: for values that are put together from several
// places and should be reported at one of them.
func (n *Node) Moved(to *Node) *Node {
	c := *n
	c.src, c.line, c.column, c.width = to.src, to.line, to.column, to.width
	return &c
}

// Entries are the keys of a map in the order of the file.
func (n *Node) Entries() []Entry {
	if n == nil {
		return nil
	}
	return n.entries
}

// Items are the values of a list.
func (n *Node) Items() []*Node {
	if n == nil {
		return nil
	}
	return n.items
}

// Text is the text of a scalar as written, after quotes and escapes; "" for lists, maps and null.
func (n *Node) Text() string {
	if n == nil {
		return ""
	}
	return n.scalar
}

// Field is the value of a key, nil if the node has no such key.
func (n *Node) Field(key string) *Node {
	for _, e := range n.Entries() {
		if e.Key == key {
			return e.Value
		}
	}
	return nil
}

// At follows a JSON pointer (RFC 6901); nil if nothing is there.
func (n *Node) At(pointer string) *Node {
	for _, part := range Split(pointer) {
		n = n.child(part)
	}
	return n
}

// Split cuts a JSON pointer into its unescaped parts.
func Split(pointer string) []string {
	if pointer == "" {
		return nil
	}
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
	}
	return parts
}

// Join appends parts to a JSON pointer, escaped.
func Join(pointer string, parts ...string) string {
	for _, part := range parts {
		pointer += "/" + strings.ReplaceAll(strings.ReplaceAll(part, "~", "~0"), "/", "~1")
	}
	return pointer
}

func (n *Node) child(part string) *Node {
	if n.Kind() != List {
		return n.Field(part)
	}
	i, err := strconv.Atoi(part)
	if err != nil || i < 0 || i >= len(n.items) {
		return nil
	}
	return n.items[i]
}

// Locate is the position of the value at a JSON pointer, or of its nearest ancestor that exists.
func (n *Node) Locate(pointer string) Position {
	found := n.nearest(pointer)
	return found.Position()
}

// nearest is the value at a pointer, or the deepest ancestor that exists.
func (n *Node) nearest(pointer string) *Node {
	for _, part := range Split(pointer) {
		next := n.child(part)
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// Fault is an error at the value that the pointer names, or at its nearest ancestor that exists.
func (n *Node) Fault(pointer, code, message string) Fault {
	at := n.nearest(pointer)
	if at == nil || at.src == nil {
		return Fault{Severity: Error, Code: code, Message: message, Path: pointer}
	}
	f := at.src.fault(code, message, at.line, at.column, at.width)
	f.Path = n.Path() + pointer
	return f
}

// KeyFault is an error at a key of the map that the pointer names.
func (n *Node) KeyFault(pointer, key, code, message string) Fault {
	for _, e := range n.At(pointer).Entries() {
		if e.Key != key || e.key.src == nil {
			continue
		}
		f := e.key.src.fault(code, message, e.key.line, e.key.column, e.key.width)
		f.Path = Join(n.Path()+pointer, key)
		return f
	}
	return n.Fault(Join(pointer, key), code, message)
}

// Value is the node as encoding/json would decode it, numbers as json.Number.
func (n *Node) Value() any {
	switch n.Kind() {
	case Bool:
		return n.scalar == "true"
	case Number:
		return json.Number(n.scalar)
	case Text:
		return n.scalar
	case List:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.Value()
		}
		return list
	case Map:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			m[e.Key] = e.Value.Value()
		}
		return m
	}
	return nil
}

// MarshalJSON is the node as JSON, keys sorted so that equal content gives equal bytes.
func (n *Node) MarshalJSON() ([]byte, error) {
	return json.Marshal(n.Value())
}

// Unmarshal decodes the node into a Go value as encoding/json does; numbers in interfaces are json.Number.
func (n *Node) Unmarshal(into any) error {
	data, err := n.MarshalJSON()
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(into)
}
