package value

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow/array"
)

var (
	errComposite = malformed("a row")
	errAttribute = malformed("a row of the composite type's attributes")
)

// compositeCodec keeps rows as structs.
type compositeCodec struct{ attributes []member }

type member struct {
	kind
	attribute string
	oid       uint32
}

func (c compositeCodec) binary(w *work, b array.Builder, raw []byte) error {
	row := b.(*array.StructBuilder)
	row.Append(true)
	err := c.fields(w, row, raw)
	if err != nil {
		c.complete(row)
	}
	return err
}

func (c compositeCodec) fields(w *work, row *array.StructBuilder, raw []byte) error {
	if len(raw) < 4 {
		return errComposite
	}
	if int(binary.BigEndian.Uint32(raw)) != len(c.attributes) {
		return errAttribute
	}
	raw = raw[4:]
	for i, a := range c.attributes {
		if len(raw) < 4 {
			return errComposite
		}
		if binary.BigEndian.Uint32(raw) != a.oid {
			return errAttribute
		}
		field, null, rest, ok := cutField(raw[4:])
		if !ok {
			return errComposite
		}
		raw = rest
		if err := a.add(w, row.FieldBuilder(i), field, null, a.codec.binary); err != nil {
			return within(err, "."+a.attribute, field, showBinary)
		}
	}
	if len(raw) > 0 {
		return errComposite
	}
	return nil
}

func (a member) add(w *work, b array.Builder, field []byte, null bool, decode func(*work, array.Builder, []byte) error) error {
	if null {
		if err := w.spend(cellSize * a.cells); err != nil {
			return err
		}
		b.AppendNull()
		return nil
	}
	if err := w.spend(cellSize); err != nil {
		return err
	}
	return decode(w, b, field)
}

// complete gives a row that failed what it lacks, so that its builders stay of one length.
func (compositeCodec) complete(row *array.StructBuilder) {
	for i := range row.NumField() {
		if f := row.FieldBuilder(i); f.Len() < row.Len() {
			f.AppendNull()
		}
	}
}

func (c compositeCodec) text(w *work, b array.Builder, raw []byte) error {
	row := b.(*array.StructBuilder)
	row.Append(true)
	err := c.columns(w, row, raw)
	if err != nil {
		c.complete(row)
	}
	return err
}

func (c compositeCodec) columns(w *work, row *array.StructBuilder, raw []byte) error {
	if len(raw) < 2 || raw[0] != '(' || raw[len(raw)-1] != ')' {
		return errComposite
	}
	for i, a := range c.attributes {
		// Each field has an opening parenthesis or a comma before it.
		if len(raw) == 0 || (i > 0 && raw[0] != ',') {
			return errAttribute
		}
		field, null, rest, ok := cutColumn(raw[1:])
		if !ok {
			return errComposite
		}
		raw = rest
		if err := a.add(w, row.FieldBuilder(i), field, null, a.codec.text); err != nil {
			return within(err, "."+a.attribute, field, showText)
		}
	}
	if len(raw) != 1 || raw[0] != ')' {
		return errAttribute
	}
	return nil
}

// cutColumn takes a field off the beginning: nothing is a null, an empty text is quoted.
func cutColumn(raw []byte) (field []byte, null bool, rest []byte, ok bool) {
	if len(raw) > 0 && raw[0] == '"' {
		field, rest, ok = unquote(raw)
		return field, false, rest, ok
	}
	for i, ch := range raw {
		switch ch {
		case ',', ')':
			return raw[:i], i == 0, raw[i:], true
		case '"', '\\', '(':
			return nil, false, nil, false
		}
	}
	return nil, false, nil, false
}
