package value

import (
	"encoding/hex"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

var (
	errEncoding = &flaw{CodeEncoding, "the text is not UTF-8"}
	errBytea    = malformed(`a bytea in hexadecimal, such as \x00ff`)
	errUUID     = malformed("a uuid")
	errJSONB    = malformed("a jsonb of version 1")
)

// textCodec keeps text, and values without a portable binary form as PostgreSQL prints them.
type textCodec struct{}

func (textCodec) binary(w *work, b array.Builder, raw []byte) error { return addText(w, b, raw) }
func (textCodec) text(w *work, b array.Builder, raw []byte) error   { return addText(w, b, raw) }

func addText(w *work, b array.Builder, text []byte) error {
	s := b.(*array.StringBuilder).BinaryBuilder
	switch {
	case !utf8.Valid(text):
		return errEncoding
	case s.DataLen()+len(text) > math.MaxInt32:
		return ErrFull
	}
	if err := w.spend(len(text)); err != nil {
		return err
	}
	s.Append(text)
	return nil
}

// jsonbCodec drops the version that the binary form begins with.
type jsonbCodec struct{ textCodec }

func (jsonbCodec) binary(w *work, b array.Builder, raw []byte) error {
	if len(raw) == 0 || raw[0] != 1 {
		return errJSONB
	}
	return addText(w, b, raw[1:])
}

type byteaCodec struct{}

func (byteaCodec) binary(w *work, b array.Builder, raw []byte) error {
	s := b.(*array.BinaryBuilder)
	if s.DataLen()+len(raw) > math.MaxInt32 {
		return ErrFull
	}
	if err := w.spend(len(raw)); err != nil {
		return err
	}
	s.Append(raw)
	return nil
}

func (c byteaCodec) text(w *work, b array.Builder, raw []byte) error {
	if len(raw) < 2 || raw[0] != '\\' || raw[1] != 'x' {
		return errBytea
	}
	var scratch [256]byte
	v, err := hex.AppendDecode(scratch[:0], raw[2:])
	if err != nil {
		return errBytea
	}
	return c.binary(w, b, v)
}

type uuidCodec struct{}

func (uuidCodec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 16 {
		return errUUID
	}
	b.(*extensions.UUIDBuilder).AppendBytes([16]byte(raw))
	return nil
}

func (uuidCodec) text(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 36 || raw[8] != '-' || raw[13] != '-' || raw[18] != '-' || raw[23] != '-' {
		return errUUID
	}
	var digits [32]byte
	n := 0
	for _, group := range [...][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}} {
		n += copy(digits[n:], raw[group[0]:group[1]])
	}
	var v [16]byte
	if _, err := hex.Decode(v[:], digits[:]); err != nil {
		return errUUID
	}
	b.(*extensions.UUIDBuilder).AppendBytes(v)
	return nil
}
