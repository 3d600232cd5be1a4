package yamltree

import (
	"slices"
	"strconv"
)

// NewMap is an empty map that stands where another node does, for keys that a file leaves out.
func NewMap(at *Node) *Node {
	n := &Node{kind: Map, size: 1}
	if at == nil {
		return n
	}
	return n.Moved(at)
}

// WithText is a scalar node with other text in its place; the kind stays Text.
func (n *Node) WithText(text string) *Node {
	c := *n
	c.kind, c.scalar = Text, text
	return &c
}

// WithField is the map with a key set; the entry stands where the value does.
func (n *Node) WithField(key string, value *Node) *Node {
	c := *n
	c.entries = make([]Entry, 0, len(n.entries)+1)
	done := false
	for _, e := range n.entries {
		if e.Key == key {
			e.Value, done = value, true
		}
		c.entries = append(c.entries, e)
	}
	if !done {
		c.entries = append(c.entries, Entry{Key: key, Value: value, key: place{value.src, value.line, value.column, value.width}})
	}
	return &c
}

// Rewrite is a copy of the tree with every scalar passed through edit, which gets its JSON pointer.
func (n *Node) Rewrite(edit func(path string, scalar *Node) *Node) *Node {
	return n.rewrite("", edit)
}

func (n *Node) rewrite(path string, edit func(string, *Node) *Node) *Node {
	switch n.Kind() {
	case List:
		c := *n
		c.items = make([]*Node, len(n.items))
		for i, item := range n.items {
			c.items[i] = item.rewrite(Join(path, strconv.Itoa(i)), edit)
		}
		return &c
	case Map:
		c := *n
		c.entries = make([]Entry, len(n.entries))
		for i, e := range n.entries {
			e.Value = e.Value.rewrite(Join(path, e.Key), edit)
			c.entries[i] = e
		}
		return &c
	}
	if n == nil {
		return nil
	}
	return edit(path, n)
}

// Merge lays one tree over another: maps merge key by key, lists whose items all have a name merge item
// by item, anything else is replaced. Merged maps stand where base does.
func Merge(base, over *Node) *Node {
	switch {
	case over == nil:
		return base
	case base == nil:
		return over
	case base.kind == Map && over.kind == Map:
		return mergeMaps(base, over)
	case base.kind == List && over.kind == List && named(base) && named(over):
		return mergeNamed(base, over)
	case base.kind != Map && base.kind != List && base.kind == over.kind && base.scalar == over.scalar:
		return base
	}
	return over
}

func mergeMaps(base, over *Node) *Node {
	merged := *base
	merged.entries = make([]Entry, 0, len(base.entries)+len(over.entries))
	index := make(map[string]int, len(base.entries))
	for i, e := range base.entries {
		index[e.Key] = i
		merged.entries = append(merged.entries, e)
	}
	for _, e := range over.entries {
		i, ok := index[e.Key]
		if !ok {
			merged.entries = append(merged.entries, e)
			continue
		}
		merged.entries[i].Value = Merge(merged.entries[i].Value, e.Value)
		if merged.entries[i].Value == e.Value {
			merged.entries[i].key = e.key
		}
	}
	return &merged
}

func mergeNamed(base, over *Node) *Node {
	merged := *base
	merged.items = append([]*Node(nil), base.items...)
	for _, item := range over.items {
		i := indexNamed(merged.items, item.Field("name").Text())
		if i < 0 {
			merged.items = append(merged.items, item)
			continue
		}
		merged.items[i] = Merge(merged.items[i], item)
	}
	return &merged
}

func indexNamed(items []*Node, name string) int {
	for i, item := range items {
		if item.Field("name").Text() == name {
			return i
		}
	}
	return -1
}

// named tells whether every item of a list is a map with a name of its own. An empty list is not: laid
// over another one, it empties it.
func named(list *Node) bool {
	seen := make(map[string]bool, len(list.items))
	for _, item := range list.items {
		name := item.Field("name").Text()
		if name == "" || seen[name] {
			return false
		}
		seen[name] = true
	}
	return len(list.items) > 0
}

// EditAt is a copy of the tree with every value whose path wanted accepts passed through edit, which
// gets the path as a JSON pointer. What lies below an edited value is not visited.
func (n *Node) EditAt(wanted func(path []string) bool, edit func(pointer string, n *Node) *Node) *Node {
	return n.editAt(nil, wanted, edit)
}

func (n *Node) editAt(path []string, wanted func([]string) bool, edit func(string, *Node) *Node) *Node {
	if n == nil || wanted(path) {
		return edit(Join("", path...), n)
	}
	below := func(step string) []string { return append(slices.Clip(path), step) }
	c := *n
	c.items, c.entries = make([]*Node, len(n.items)), make([]Entry, len(n.entries))
	for i, item := range n.items {
		c.items[i] = item.editAt(below(strconv.Itoa(i)), wanted, edit)
	}
	for i, e := range n.entries {
		e.Value = e.Value.editAt(below(e.Key), wanted, edit)
		c.entries[i] = e
	}
	return &c
}
