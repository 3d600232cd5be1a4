package yamltree

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Show writes the node as YAML, each value followed by the file and line that it comes from. Plain
// secrets, as far as key names tell, are masked; references are written as they are.
func Show(w io.Writer, n *Node) error {
	s := shower{bufio.NewWriter(w)}
	if n.Kind() == Map && len(n.entries) > 0 {
		s.entries(n, "", "", false)
	} else {
		s.value("", n, "", false)
	}
	return s.out.Flush()
}

type shower struct{ out *bufio.Writer }

// entries writes a map; its first line starts with lead, which may end in a list's dash.
func (s shower) entries(n *Node, indent, lead string, secret bool) {
	for _, e := range n.entries {
		s.value(lead+quote(e.Key)+":", e.Value, indent, secret || SecretName(e.Key))
		lead = indent
	}
}

// value writes what follows head, a key or a dash that is indented by indent.
func (s shower) value(head string, n *Node, indent string, secret bool) {
	switch {
	case n.Kind() == Map && len(n.entries) > 0:
		fmt.Fprintln(s.out, head)
		s.entries(n, indent+"  ", indent+"  ", secret)
	case n.Kind() == List && !inline(n):
		fmt.Fprintln(s.out, head)
		for _, item := range n.items {
			s.item(item, indent, secret)
		}
	case n.Kind() == Text && !secret && !n.concealed() && literal(n.scalar):
		s.literal(head, n, indent)
	default:
		fmt.Fprintln(s.out, head+pad(head)+s.flow(n, secret)+origin(n))
	}
}

func pad(head string) string {
	if strings.TrimSpace(head) == "" {
		return ""
	}
	return " "
}

func (s shower) item(item *Node, indent string, secret bool) {
	if item.Kind() == Map && len(item.entries) > 0 {
		s.entries(item, indent+"  ", indent+"- ", secret)
		return
	}
	s.value(indent+"-", item, indent+"  ", secret)
}

// inline tells whether a list is shown on one line: plain values that come from one line.
func inline(n *Node) bool {
	width := 0
	for _, item := range n.items {
		if item.Kind() == List || item.Kind() == Map || item.line != n.line || item.src != n.src {
			return false
		}
		width += len(item.scalar) + 2
	}
	return width < 80
}

// literal tells whether text reads best, and survives, as a block of lines.
func literal(text string) bool {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 2 || strings.TrimSpace(lines[0]) == "" || strings.ContainsAny(lines[0][:1], " \t") {
		return false
	}
	for _, line := range lines {
		if strings.TrimRight(line, " \t") != line || !plainLine.MatchString(line) {
			return false
		}
	}
	return lines[len(lines)-1] != ""
}

var plainLine = regexp.MustCompile(`^[\t -~]*$`)

func (s shower) literal(head string, n *Node, indent string) {
	mark, text := "|", n.scalar
	if !strings.HasSuffix(text, "\n") {
		mark = "|-"
	}
	fmt.Fprintf(s.out, "%s %s%s\n", head, mark, origin(n))
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if line != "" {
			line = indent + "  " + maskLine(line)
		}
		fmt.Fprintln(s.out, line)
	}
}

// flow is a scalar, an empty map or a list on one line.
func (s shower) flow(n *Node, secret bool) string {
	switch n.Kind() {
	case Null:
		return "null"
	case Map:
		return "{}"
	case List:
		parts := make([]string, len(n.items))
		for i, item := range n.items {
			parts[i] = s.flow(item, secret)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	secret = secret || n.concealed()
	switch {
	case secret && !HasReference(n.scalar) && n.scalar != "" && n.Kind() != Bool:
		return `"[secret]"`
	case n.Kind() == Text:
		return quote(maskLine(n.scalar))
	}
	return n.scalar
}

func origin(n *Node) string {
	if n == nil || n.src == nil {
		return ""
	}
	return fmt.Sprintf("  # %s:%d", strings.Map(printable, n.src.name), n.line)
}

// bare is text that every YAML reader takes as text without quotes.
var bare = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@-]*( [A-Za-z0-9_./@-]+)*$`)

// keyword is text that some YAML reader takes for something else.
var keyword = regexp.MustCompile(`(?i)^(null|true|false|yes|no|on|off|y|n)$`)

func quote(text string) string {
	if bare.MatchString(text) && !keyword.MatchString(text) {
		return text
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}
