package catalog

import (
	"fmt"
	"path"
	"strings"
)

// Pattern chooses tables: schema.table, either of which may have the wildcards *, ? and [a-z]; without a dot the schema is public. A name
// in double quotes is taken by the letter, so that it may hold dots and wildcards.
type Pattern struct {
	text          string
	schema, table part
}

type part struct {
	text    string
	literal bool
}

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	first, rest, err := cutPart(text)
	if err != nil {
		return Pattern{}, err
	}
	p := Pattern{text: text, schema: part{"public", true}, table: first}
	if rest != "" {
		var more string
		p.schema = first
		if p.table, more, err = cutPart(rest[1:]); err != nil {
			return Pattern{}, err
		}
		if more != "" {
			return Pattern{}, fmt.Errorf("%q has more than two parts, expected schema.table", text)
		}
	}
	for _, one := range []part{p.schema, p.table} {
		if one.text == "" {
			return Pattern{}, fmt.Errorf("%q has an empty part, expected schema.table", text)
		}
		if _, err := path.Match(one.text, ""); err != nil && !one.literal {
			return Pattern{}, fmt.Errorf("%q: a bracket is not closed", text)
		}
	}
	return p, nil
}

// cutPart takes a name off; what is left begins with a dot, or is empty.
func cutPart(text string) (part, string, error) {
	if !strings.HasPrefix(text, `"`) {
		name, rest, found := strings.Cut(text, ".")
		if found {
			rest = "." + rest
		}
		return part{name, !strings.ContainsAny(name, `*?[\`)}, rest, nil
	}
	var name strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != '"' {
			name.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '"' {
			name.WriteByte('"')
			i++
			continue
		}
		if rest := text[i+1:]; rest != "" && rest[0] != '.' {
			return part{}, "", fmt.Errorf("%q has text behind a quoted name", text)
		}
		return part{name.String(), true}, text[i+1:], nil
	}
	return part{}, "", fmt.Errorf("%q: a quote is not closed", text)
}

func (p part) match(name string) bool {
	if p.literal {
		return p.text == name
	}
	ok, err := path.Match(slashless(p.text), slashless(name))
	return ok && err == nil
}

// slashless makes a slash a character as any other, for a wildcard does not go past one.
func slashless(text string) string { return strings.ReplaceAll(text, "/", "\x00") }

// Match says whether the pattern has a table.
func (p Pattern) Match(schema, table string) bool {
	return p.schema.match(schema) && p.table.match(table)
}

// Literal says that the pattern names one table.
func (p Pattern) Literal() bool { return p.schema.literal && p.table.literal }

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }
