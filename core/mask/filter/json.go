package filter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// shape is a predicate in JSON: an object with one of these fields.
type shape struct {
	And      *[]json.RawMessage `json:"and,omitempty"`
	Or       *[]json.RawMessage `json:"or,omitempty"`
	NotTrue  json.RawMessage    `json:"not_true,omitempty"`
	Constant *bool              `json:"constant,omitempty"`
	Compare  *compareShape      `json:"compare,omitempty"`
	Columns  *columnsShape      `json:"columns,omitempty"`
	In       *inShape           `json:"in,omitempty"`
	Text     *textShape         `json:"text,omitempty"`
	Column   *string            `json:"column,omitempty"`
	IsNull   *nullShape         `json:"is_null,omitempty"`
}

type (
	compareShape struct {
		Column string `json:"column"`
		Op     Op     `json:"op"`
		Value  Value  `json:"value"`
	}
	columnsShape struct {
		Left  string `json:"left"`
		Op    Op     `json:"op"`
		Right string `json:"right"`
	}
	inShape struct {
		Column string  `json:"column"`
		Values []Value `json:"values"`
	}
	textShape struct {
		Column string `json:"column"`
		Op     TextOp `json:"op"`
		Value  string `json:"value"`
	}
	nullShape struct {
		Column string `json:"column"`
		Not    bool   `json:"not,omitempty"`
	}
)

// Marshal writes a predicate as JSON: an object with one of the fields and, or, not_true, constant, compare, columns, in,
// text, column, is_null.
func Marshal(p Predicate) ([]byte, error) {
	if p == nil {
		return nil, errors.New("the filter is missing")
	}
	return p.MarshalJSON()
}

// Unmarshal reads what Marshal wrote. It refuses unknown fields and trees past MaxParts and MaxDepth.
func Unmarshal(data []byte) (Predicate, error) {
	if err := shallow(data); err != nil {
		return nil, err
	}
	p, err := unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("read a filter: %w", err)
	}
	return p, measure(p)
}

// shallow keeps the reading, which parses each level anew, off documents that are deeper than any filter.
func shallow(data []byte) error {
	depth, d := 0, json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a filter: %w", err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > 2*MaxDepth+4 {
			return fmt.Errorf("%w: more than %d levels", ErrTooLarge, MaxDepth)
		}
	}
}

func unmarshal(data []byte) (Predicate, error) {
	var s shape
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the filter")
	}
	return s.predicate()
}

func (s shape) predicate() (Predicate, error) {
	var found []Predicate
	var faults []error
	add := func(p Predicate, err error) { found, faults = append(found, p), append(faults, err) }
	if s.And != nil {
		parts, err := unmarshalAll(*s.And)
		add(And(parts), err)
	}
	if s.Or != nil {
		parts, err := unmarshalAll(*s.Or)
		add(Or(parts), err)
	}
	if s.NotTrue != nil {
		of, err := unmarshal(s.NotTrue)
		add(NotTrue{of}, err)
	}
	if s.Constant != nil {
		add(Constant(*s.Constant), nil)
	}
	if s.Compare != nil {
		var err error
		if s.Compare.Value.kind == noValue {
			err = fmt.Errorf("column %q is compared with no value", s.Compare.Column)
		}
		add(Compare(*s.Compare), err)
	}
	if s.Columns != nil {
		add(CompareColumns(*s.Columns), nil)
	}
	if s.In != nil {
		add(In(*s.In), nil)
	}
	if s.Text != nil {
		add(Text(*s.Text), nil)
	}
	if s.Column != nil {
		add(Column{*s.Column}, nil)
	}
	if s.IsNull != nil {
		add(IsNull(*s.IsNull), nil)
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d predicates in one object; one is allowed: and, or, not_true, constant, compare, columns, in, text, column or is_null", len(found))
	}
	return found[0], errors.Join(faults...)
}

func unmarshalAll(parts []json.RawMessage) ([]Predicate, error) {
	all := make([]Predicate, len(parts))
	for i, part := range parts {
		var err error
		if all[i], err = unmarshal(part); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func marshalAll(parts []Predicate) (*[]json.RawMessage, error) {
	all := make([]json.RawMessage, len(parts))
	for i, part := range parts {
		var err error
		if all[i], err = Marshal(part); err != nil {
			return nil, err
		}
	}
	return &all, nil
}

// MarshalJSON writes {"and": […]}.
func (p And) MarshalJSON() ([]byte, error) {
	parts, err := marshalAll(p)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shape{And: parts})
}

// MarshalJSON writes {"or": […]}.
func (p Or) MarshalJSON() ([]byte, error) {
	parts, err := marshalAll(p)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shape{Or: parts})
}

// MarshalJSON writes {"not_true": …}.
func (p NotTrue) MarshalJSON() ([]byte, error) {
	of, err := Marshal(p.Of)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shape{NotTrue: of})
}

// MarshalJSON writes {"constant": true}.
func (p Constant) MarshalJSON() ([]byte, error) {
	truth := bool(p)
	return json.Marshal(shape{Constant: &truth})
}

// MarshalJSON writes {"compare": {"column", "op", "value"}}.
func (p Compare) MarshalJSON() ([]byte, error) {
	s := compareShape(p)
	return json.Marshal(shape{Compare: &s})
}

// MarshalJSON writes {"columns": {"left", "op", "right"}}.
func (p CompareColumns) MarshalJSON() ([]byte, error) {
	s := columnsShape(p)
	return json.Marshal(shape{Columns: &s})
}

// MarshalJSON writes {"in": {"column", "values"}}.
func (p In) MarshalJSON() ([]byte, error) {
	s := inShape(p)
	if s.Values == nil {
		s.Values = []Value{}
	}
	return json.Marshal(shape{In: &s})
}

// MarshalJSON writes {"text": {"column", "op", "value"}}.
func (p Text) MarshalJSON() ([]byte, error) {
	if v := String(p.Value); !v.valid() {
		return nil, errNotUTF8
	}
	s := textShape(p)
	return json.Marshal(shape{Text: &s})
}

// MarshalJSON writes {"column": "…"}.
func (p Column) MarshalJSON() ([]byte, error) { return json.Marshal(shape{Column: &p.Name}) }

// MarshalJSON writes {"is_null": {"column", "not"}}.
func (p IsNull) MarshalJSON() ([]byte, error) {
	s := nullShape(p)
	return json.Marshal(shape{IsNull: &s})
}

var errNotUTF8 = errors.New("a text of the filter isn't valid UTF-8")

// MarshalJSON writes the value itself; a number keeps its digits.
func (v Value) MarshalJSON() ([]byte, error) {
	switch {
	case v.kind == noValue:
		return nil, errors.New("a value of the filter is missing")
	case !v.valid():
		return nil, errNotUTF8
	case v.kind == textValue:
		return json.Marshal(v.text)
	case v.kind == numberValue:
		return json.Marshal(json.Number(v.text))
	}
	return json.Marshal(v.truth)
}

// UnmarshalJSON reads a text, a number or a boolean.
func (v *Value) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var any any
	if err := d.Decode(&any); err != nil {
		return err
	}
	switch of := any.(type) {
	case string:
		*v = String(of)
	case bool:
		*v = Bool(of)
	case json.Number:
		var err error
		*v, err = Number(of.String())
		return err
	default:
		return fmt.Errorf("%s is no value; allowed are texts, numbers and booleans", data)
	}
	return nil
}
