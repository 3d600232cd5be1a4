package jsonfile

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// What to do about a name that occurs twice in an object.
const (
	RepeatedLast   = "last"   // the last value counts
	RepeatedReject = "reject" // the record is rejected
)

func repeats(err error) bool { return errors.Is(err, jsontext.ErrDuplicateName) }

// lastOnly rewrites the records of the block in which a name occurs twice, so that only its last value is there, and says whether
// there were any. It is called once one has been met, and leaves alone what is no JSON.
func (b *jsonBlock) lastOnly() bool {
	if b.reader.settings.Repeated == RepeatedReject {
		return false
	}
	found := false
	var d decoder
	for i := range b.rows {
		d.begin(b.text(i))
		if !repeats(d.SkipValue()) {
			continue
		}
		d.begin(b.text(i), jsontext.AllowDuplicateNames(true))
		text, err := d.appendLast(nil)
		if err != nil || !d.atEnd() {
			continue
		}
		if b.rewritten == nil {
			b.rewritten = map[int][]byte{}
		}
		b.rewritten[i], found = text, true
		if !b.reader.sampling {
			b.reader.repeated++
		}
	}
	return found
}

// appendLast copies the next value, of every object only the last value of each name.
func (d *decoder) appendLast(to []byte) ([]byte, error) {
	switch d.PeekKind() {
	case '{':
		return d.appendObject(to)
	case '[':
		to = append(to, '[')
		first := true
		err := d.list(func() (err error) {
			if !first {
				to = append(to, ',')
			}
			first = false
			to, err = d.appendLast(to)
			return err
		})
		return append(to, ']'), err
	}
	raw, err := d.ReadValue()
	return append(to, raw...), err
}

func (d *decoder) appendObject(to []byte) ([]byte, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var names, values [][]byte
	at := map[string]int{}
	for d.PeekKind() != '}' {
		raw, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		i, again := at[string(d.unquote(raw))]
		if !again {
			i = len(names)
			at[string(d.unquote(raw))] = i
			names, values = append(names, append([]byte(nil), raw...)), append(values, nil)
		}
		if values[i], err = d.appendLast(values[i][:0]); err != nil {
			return nil, err
		}
	}
	to = append(to, '{')
	for i, name := range names {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(append(append(to, name...), ':'), values[i]...)
	}
	_, err := d.ReadToken()
	return append(to, '}'), err
}
