package jsonfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
)

// decoder reads one record. It refuses what RFC 8259 refuses, and also names that occur twice in an object (see lastOnly), invalid
// UTF-8 and unpaired surrogates.
type decoder struct {
	jsontext.Decoder
	buffer  bytes.Buffer
	scratch []byte
}

// emptyName is the column of the values whose name is empty, which no column's may be.
var emptyName = []byte("_empty")

var errLongName = fmt.Errorf("a name of more than %d bytes, which no column can have", column.MaxName)

func (d *decoder) begin(record []byte, options ...jsontext.Options) {
	d.buffer = *bytes.NewBuffer(record)
	d.Reset(&d.buffer, options...)
}

// atEnd says whether nothing follows.
func (d *decoder) atEnd() bool {
	_, err := d.ReadToken()
	return errors.Is(err, io.EOF)
}

// unquote is the text of a string. It is valid until the next call.
func (d *decoder) unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	d.scratch, _ = jsontext.AppendUnquote(d.scratch[:0], raw) // the decoder has checked it
	return d.scratch
}

// object calls member with each name as a column has it; it must read the value. The name is valid until then.
func (d *decoder) object(member func(name []byte) error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		name := d.unquote(raw)
		switch {
		case len(name) == 0:
			name = emptyName
		case len(name) > column.MaxName:
			return errLongName
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// list calls item for each element; it must read it.
func (d *decoder) list(item func() error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}
