package value

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow/array"
)

var (
	errArray   = malformed("an array")
	errElement = malformed("an array of the column's element type")
	errShape   = &flaw{CodeShape, "a list can't hold an array that has several dimensions or does not begin at 1"}
)

// arrayCodec keeps arrays of one dimension as lists.
type arrayCodec struct {
	element   kind
	oid       uint32 // of the element
	delimiter byte
}

func (c arrayCodec) binary(w *work, b array.Builder, raw []byte) error {
	list := b.(*array.ListBuilder)
	list.Append(true)
	count, rest, err := c.header(raw)
	if err != nil {
		return err
	}
	if count > len(rest)/4 || list.ValueBuilder().Len() > math.MaxInt32-count {
		return errArray
	}
	for i := range count {
		element, null, after, ok := cutField(rest)
		if !ok {
			return errArray
		}
		if rest = after; null {
			err = c.null(w, list.ValueBuilder())
		} else if err = w.spend(cellSize); err == nil {
			err = c.element.codec.binary(w, list.ValueBuilder(), element)
		}
		if err != nil {
			return within(err, fmt.Sprintf("[%d]", i+1), element, showBinary)
		}
	}
	if len(rest) > 0 {
		return errArray
	}
	return nil
}

// header reads the dimensions, and gives the number of elements.
func (c arrayCodec) header(raw []byte) (count int, rest []byte, err error) {
	if len(raw) < 12 {
		return 0, nil, errArray
	}
	dimensions, flags := binary.BigEndian.Uint32(raw), binary.BigEndian.Uint32(raw[4:])
	switch {
	case flags > 1:
		return 0, nil, errArray
	case binary.BigEndian.Uint32(raw[8:]) != c.oid:
		return 0, nil, errElement
	case dimensions == 0:
		return 0, raw[12:], nil
	case dimensions > 1:
		return 0, nil, errShape
	case len(raw) < 20:
		return 0, nil, errArray
	case binary.BigEndian.Uint32(raw[16:]) != 1:
		return 0, nil, errShape
	}
	size := binary.BigEndian.Uint32(raw[12:])
	if size > math.MaxInt32 {
		return 0, nil, errArray
	}
	return int(size), raw[20:], nil
}

func (c arrayCodec) null(w *work, b array.Builder) error {
	if err := w.spend(cellSize * c.element.cells); err != nil {
		return err
	}
	b.AppendNull()
	return nil
}

// cutField reads a length and as many bytes; a length of -1 is a null.
func cutField(raw []byte) (field []byte, null bool, rest []byte, ok bool) {
	if len(raw) < 4 {
		return nil, false, nil, false
	}
	size := int32(binary.BigEndian.Uint32(raw)) //nolint:gosec // the bits are an int32
	raw = raw[4:]
	switch {
	case size == -1:
		return nil, true, raw, true
	case size < 0 || int(size) > len(raw):
		return nil, false, nil, false
	}
	return raw[:size:size], false, raw[size:], true
}

func (c arrayCodec) text(w *work, b array.Builder, raw []byte) error {
	list := b.(*array.ListBuilder)
	list.Append(true)
	if len(raw) > 0 && raw[0] == '[' {
		return errShape
	}
	if len(raw) < 2 || raw[0] != '{' || raw[len(raw)-1] != '}' {
		return errArray
	}
	rest := raw[1:]
	for i := 1; ; i++ {
		if i == 1 && len(rest) == 1 {
			return nil
		}
		element, quoted, after, err := c.cut(rest)
		if err != nil {
			return err
		}
		if !quoted && view(element) == "NULL" {
			err = c.null(w, list.ValueBuilder())
		} else if err = w.spend(cellSize); err == nil {
			err = c.element.codec.text(w, list.ValueBuilder(), element)
		}
		switch {
		case err != nil:
			return within(err, fmt.Sprintf("[%d]", i), element, showText)
		case after[0] == '}' && len(after) == 1:
			return nil
		case after[0] != c.delimiter:
			return errArray
		}
		rest = after[1:]
	}
}

// cut takes an element off the beginning; what is left is not empty.
func (c arrayCodec) cut(raw []byte) (element []byte, quoted bool, rest []byte, err error) {
	if len(raw) > 0 && raw[0] == '"' {
		element, rest, ok := unquote(raw)
		if !ok || len(rest) == 0 {
			return nil, true, nil, errArray
		}
		return element, true, rest, nil
	}
	for i, ch := range raw {
		switch ch {
		case '{':
			return nil, false, nil, errShape
		case '"', '\\':
			return nil, false, nil, errArray
		case c.delimiter, '}':
			if i == 0 {
				return nil, false, nil, errArray
			}
			return raw[:i], false, raw[i:], nil
		}
	}
	return nil, false, nil, errArray
}

// unquote reads a quoted text at the beginning of raw, in which a backslash stands before what is meant literally and a quote may be
// doubled, as composites have it. It copies only what has such marks in it.
func unquote(raw []byte) (text, rest []byte, ok bool) {
	raw = raw[1:]
	end := bytes.IndexAny(raw, `"\`)
	if end < 0 {
		return nil, nil, false
	}
	if raw[end] == '"' && (end+1 == len(raw) || raw[end+1] != '"') {
		return raw[:end:end], raw[end+1:], true
	}
	text = append(make([]byte, 0, end+16), raw[:end]...)
	for i := end; i < len(raw); i++ {
		switch {
		case raw[i] == '\\' || (raw[i] == '"' && i+1 < len(raw) && raw[i+1] == '"'):
			if i++; i == len(raw) {
				return nil, nil, false
			}
		case raw[i] == '"':
			return text, raw[i+1:], true
		}
		text = append(text, raw[i])
	}
	return nil, nil, false
}
