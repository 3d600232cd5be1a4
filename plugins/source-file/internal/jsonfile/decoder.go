package jsonfile

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// decoder reads one record. It refuses what RFC 8259 refuses, and also names that occur twice in an object and invalid UTF-8.
type decoder struct {
	jsontext.Decoder
	buffer  bytes.Buffer
	scratch []byte
}

// errEmptyName refuses a name that no column can have.
var errEmptyName = errors.New("a name in an object is empty")

func (d *decoder) begin(record []byte) {
	d.buffer = *bytes.NewBuffer(record)
	d.Reset(&d.buffer)
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

// object calls member with each name; it must read the value. The name is valid until then.
func (d *decoder) object(member func(name []byte) error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		if err := member(d.unquote(raw)); err != nil {
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
