package rows

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// tag is what a struct field's tags say.
type tag struct {
	name    string
	named   bool
	skip    bool
	options string // behind the name
	meta    arrow.Metadata
}

func tagOf(f reflect.StructField) tag {
	text, ok := f.Tag.Lookup("arrow")
	options := ""
	if !ok {
		text = f.Tag.Get("json")
	}
	name, rest, _ := strings.Cut(text, ",")
	if ok {
		options = rest // those of json mean nothing here
	}
	if name == "-" && rest == "" {
		return tag{skip: true}
	}
	t := tag{name: name, named: name != "", options: options, meta: metadata(f.Tag.Get("doc"), f.Tag.Get("tags"))}
	if !t.named {
		t.name = f.Name
	}
	return t
}

var decimalOption = regexp.MustCompile(`^decimal\((\d+),(\d+)\)$`)

const maxDigits = 38

// decimalType reads the option of a decimal's tag.
func (t tag) decimalType() (*arrow.Decimal128Type, error) {
	m := decimalOption.FindStringSubmatch(strings.ReplaceAll(t.options, " ", ""))
	if m == nil {
		return nil, fmt.Errorf("a decimal with the options %q, expected decimal(precision,scale) as in `arrow:%q`",
			t.options, t.name+",decimal(12,2)")
	}
	precision, _ := strconv.ParseInt(m[1], 10, 32)
	scale, _ := strconv.ParseInt(m[2], 10, 32)
	if precision < 1 || precision > maxDigits || scale > precision {
		return nil, fmt.Errorf("a decimal(%s,%s), expected a precision from 1 to %d and a scale up to it", m[1], m[2], maxDigits)
	}
	return &arrow.Decimal128Type{Precision: int32(precision), Scale: int32(scale)}, nil
}

// noOptions refuses options of types that have none, so that a misspelt one is seen.
func (t tag) noOptions() error {
	if t.options != "" {
		return fmt.Errorf("unknown option %q, only decimals have one: decimal(precision,scale)", t.options)
	}
	return nil
}
