package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"

	"github.com/qanat-data/qanat/specs/contract"
)

// finder calls fail for each value that breaks a rule. A nil finder finds nothing.
type finder func(values arrow.Array, fail func(i int))

// judge is what a rule asks of the values of one Arrow type.
type judge struct {
	find     finder
	expected string // for reasons: "a value between 1 and 5"
}

// newJudge compiles a rule for values of a type. The error says why the rule makes no sense for it.
func newJudge(d demand, have arrow.DataType) (judge, error) {
	have = plain(have)
	if _, ok := have.(*arrow.DictionaryType); ok && d.Kind != contract.KindRequired {
		return judge{}, fmt.Errorf("dictionaries of %s can't be judged", have)
	}
	if have.ID() == arrow.NULL && d.Kind != contract.KindRequired && d.Kind != contract.KindMissing {
		return judge{}, nil // nulls keep every other rule
	}
	var j judge
	var err error
	switch d.Kind {
	case contract.KindRequired:
		j = judge{find: nulls, expected: "a value"}
	case contract.KindType:
		j.expected = typeName(d.Type)
		j.find, err = typed(have, d)
	case contract.KindEnum:
		j.expected = "one of " + list(d.Values)
		j.find = among(have, d.Values, false)
	case contract.KindMissing:
		j.expected = "none of " + list(d.Values)
		j.find = among(have, d.Values, true)
	case contract.KindRange:
		j.expected = rangeText(d.Min, d.Max)
		j.find, err = ranged(have, d)
	case contract.KindMultipleOf:
		j.expected = "a multiple of " + string(d.Step)
		j.find, err = multiple(have, d.Step)
	case contract.KindPattern, contract.KindLength, contract.KindFormat:
		return textJudge(d, have)
	case contract.KindItemCount, contract.KindUniqueItems:
		return listJudge(d, have)
	default:
		err = fmt.Errorf("the check knows no rule %q", d.Kind)
	}
	return j, err
}

func textJudge(d demand, have arrow.DataType) (judge, error) {
	if _, ok := have.(*extensions.UUIDType); ok && d.Format == contract.FormatUUID {
		return judge{}, nil
	}
	binary := d.Kind == contract.KindLength && isBinary(have)
	if !isText(have) && !binary {
		return judge{}, fmt.Errorf("a %s needs text, found %s", d.Kind, have)
	}
	switch d.Kind {
	case contract.KindPattern:
		return judge{find: texts(d.Pattern.MatchString), expected: "a match of /" + shorten(d.Pattern.String()) + "/"}, nil
	case contract.KindFormat:
		return judge{find: texts(formatTest(d.Format)), expected: "the form of " + string(d.Format)}, nil
	default:
		low, high := counts(d.MinCount, d.MaxCount)
		unit := "characters"
		if binary {
			unit = "bytes"
		}
		j := judge{expected: countText(d.MinCount, d.MaxCount, unit)}
		if binary {
			j.find = byteLengths(low, high)
		} else {
			j.find = texts(func(s string) bool { return lengthWithin(s, low, high) })
		}
		return j, nil
	}
}

// nulls finds values that aren't there.
func nulls(values arrow.Array, fail func(int)) {
	all := values.DataType().ID() == arrow.NULL
	if !all && values.NullN() == 0 {
		return
	}
	for i := range values.Len() {
		if all || values.IsNull(i) {
			fail(i)
		}
	}
}

// texts finds texts that a test refuses.
func texts(ok func(string) bool) finder {
	return func(values arrow.Array, fail func(int)) {
		switch values := values.(type) {
		case *array.String:
			scan(values, ok, fail)
		case *array.LargeString:
			scan(values, ok, fail)
		case *array.StringView:
			scan(values, ok, fail)
		case *array.Dictionary:
			coded(values, ok, fail)
		}
	}
}

type textArray interface {
	Len() int
	IsNull(i int) bool
	Value(i int) string
}

func scan[A textArray](values A, ok func(string) bool, fail func(int)) {
	for i := range values.Len() {
		if !values.IsNull(i) && !ok(values.Value(i)) {
			fail(i)
		}
	}
}

// coded tests each word of a dictionary once.
func coded(values *array.Dictionary, ok func(string) bool, fail func(int)) {
	bad := map[int]bool{}
	texts(ok)(values.Dictionary(), func(word int) { bad[word] = true })
	if len(bad) == 0 {
		return
	}
	for i := range values.Len() {
		if values.IsValid(i) && bad[values.GetValueIndex(i)] {
			fail(i)
		}
	}
}

// lengthWithin counts characters only where the number of bytes leaves it open.
func lengthWithin(s string, low, high int) bool {
	if len(s) <= high && len(s) >= low*utf8.UTFMax {
		return true
	}
	n := utf8.RuneCountInString(s)
	return n >= low && n <= high
}

func byteLengths(low, high int) finder {
	return func(values arrow.Array, fail func(int)) {
		for i := range values.Len() {
			if raw, ok := bytesAt(values, i); ok && (len(raw) < low || len(raw) > high) {
				fail(i)
			}
		}
	}
}

func bytesAt(values arrow.Array, i int) ([]byte, bool) {
	if values.IsNull(i) {
		return nil, false
	}
	if values, ok := values.(interface{ Value(i int) []byte }); ok {
		return values.Value(i), true
	}
	return nil, false
}

func isText(kind arrow.DataType) bool {
	switch kind.ID() {
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return true
	}
	return false
}

func isBinary(kind arrow.DataType) bool {
	switch kind.ID() {
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW, arrow.FIXED_SIZE_BINARY:
		return true
	}
	return false
}

// plain is the type that values are judged as: text, for a dictionary of texts.
func plain(kind arrow.DataType) arrow.DataType {
	if dictionary, ok := kind.(*arrow.DictionaryType); ok && isText(dictionary.ValueType) {
		return dictionary.ValueType
	}
	return kind
}

// mostShown is how many characters of a value or an expectation go into a reason.
const mostShown = 64

func shorten(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if utf8.RuneCountInString(text) <= mostShown {
		return text
	}
	return string([]rune(text)[:mostShown]) + "…"
}

// show gives a value as a reason tells it.
func show(values arrow.Array, i int) string {
	if values.IsNull(i) || values.DataType().ID() == arrow.NULL {
		return "null"
	}
	text := values.ValueStr(i)
	if isText(plain(values.DataType())) {
		return fmt.Sprintf("%q", shorten(text))
	}
	return shorten(text)
}

func list(values []any) string {
	words := make([]string, len(values))
	for i, value := range values {
		words[i] = fmt.Sprint(value)
		if text, ok := value.(string); ok {
			words[i] = fmt.Sprintf("%q", text)
		}
		if value == nil {
			words[i] = "null"
		}
	}
	return shorten(strings.Join(words, ", "))
}
