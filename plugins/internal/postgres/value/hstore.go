package value

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow/array"
)

var errHstore = malformed("an hstore")

// hstoreCodec keeps hstores as maps, in the server's order of keys.
type hstoreCodec struct{}

func (c hstoreCodec) binary(w *work, b array.Builder, raw []byte) error {
	m := b.(*array.MapBuilder)
	m.Append(true)
	if len(raw) < 4 || int(binary.BigEndian.Uint32(raw)) > (len(raw)-4)/8 {
		return errHstore
	}
	count := binary.BigEndian.Uint32(raw)
	raw = raw[4:]
	for range count {
		key, noKey, rest, ok := cutField(raw)
		if !ok || noKey {
			return errHstore
		}
		item, null, rest, ok := cutField(rest)
		if !ok {
			return errHstore
		}
		raw = rest
		if err := c.entry(w, m, key, item, null); err != nil {
			return within(err, "[]", key, showBinary)
		}
	}
	if len(raw) > 0 {
		return errHstore
	}
	return nil
}

// entry appends a key and its value, or neither.
func (hstoreCodec) entry(w *work, m *array.MapBuilder, key, item []byte, null bool) error {
	if err := w.spend(2 * cellSize); err != nil {
		return err
	}
	if err := addText(w, m.KeyBuilder(), key); err != nil {
		return err
	}
	if null {
		m.ItemBuilder().AppendNull()
		return nil
	}
	err := addText(w, m.ItemBuilder(), item)
	if err != nil {
		m.ItemBuilder().AppendNull()
	}
	return err
}

// text reads "key"=>"value", "key"=>NULL.
func (c hstoreCodec) text(w *work, b array.Builder, raw []byte) error {
	m := b.(*array.MapBuilder)
	m.Append(true)
	for first := true; len(raw) > 0; first = false {
		if !first {
			if len(raw) < 2 || raw[0] != ',' || raw[1] != ' ' {
				return errHstore
			}
			raw = raw[2:]
		}
		key, item, null, rest, ok := cutEntry(raw)
		if !ok {
			return errHstore
		}
		raw = rest
		if err := c.entry(w, m, key, item, null); err != nil {
			return within(err, "[]", key, showText)
		}
	}
	return nil
}

func cutEntry(raw []byte) (key, item []byte, null bool, rest []byte, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return nil, nil, false, nil, false
	}
	key, rest, ok = unquote(raw)
	if !ok || len(rest) < 3 || rest[0] != '=' || rest[1] != '>' {
		return nil, nil, false, nil, false
	}
	rest = rest[2:]
	if rest[0] == '"' {
		item, rest, ok = unquote(rest)
		return key, item, false, rest, ok
	}
	if len(rest) < 4 || view(rest[:4]) != "NULL" {
		return nil, nil, false, nil, false
	}
	return key, nil, true, rest[4:], true
}
