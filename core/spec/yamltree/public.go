package yamltree

import (
	"encoding/json"
	"regexp"
)

// Secret stands for a plain secret in Public.
const Secret = "[secret]"

// onlyReferences is text that gives away nothing: references that say no value of their own to fall back on.
var onlyReferences = regexp.MustCompile(`^(\$\{(env|file):[^}]*\})+$`)

var fallback = regexp.MustCompile(`^.*:-`)

// Public is Value without plain secrets, as far as they are known as such: by the schema of a plugin, by the names of keys, and by the
// form of URLs. References stay as they are written, unless they say what to fall back on where a secret is due.
func (n *Node) Public() any { return n.public(false) }

func (n *Node) public(secret bool) any {
	secret = secret || n.concealed()
	switch n.Kind() {
	case Bool:
		return n.scalar == "true"
	case Number:
		if secret {
			return Secret
		}
		return json.Number(n.scalar)
	case Text:
		switch {
		case secret && n.scalar != "" && !reference(n.scalar):
			return Secret
		case HasReference(n.scalar):
			return n.scalar
		}
		return maskLine(n.scalar)
	case List:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.public(secret)
		}
		return list
	case Map:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			m[e.Key] = e.Value.public(secret || SecretName(e.Key))
		}
		return m
	}
	return nil
}

// reference says whether text is made of references alone.
func reference(text string) bool {
	return onlyReferences.MatchString(text) && !fallback.MatchString(text)
}
