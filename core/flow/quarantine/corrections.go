package quarantine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Corrections is a file of corrected rows. Only where they lie in it is kept in memory. A nil value has none. Not safe for
// concurrent use.
type Corrections struct {
	file *os.File
	rows map[RowID]*correction
}

type correction struct {
	offset, length int64
	met            bool
}

// corrected is a row in such a file: {"id": "12-3", "row": {…}}, and whatever else "show" prints; or the row with its id as _id.
type corrected struct {
	ID     string          `json:"id"`
	Stream string          `json:"stream"`
	Row    json.RawMessage `json:"row"`
}

const inlineID = "_id"

// OpenCorrections reads where the rows of a file are: JSON objects, one after the other.
func OpenCorrections(path string) (*Corrections, error) {
	file, err := os.Open(path) //nolint:gosec // named by the operator
	if err != nil {
		return nil, err
	}
	c := &Corrections{file: file, rows: map[RowID]*correction{}}
	if err := c.index(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return c, nil
}

// Close closes the file.
func (c *Corrections) Close() error {
	if c == nil {
		return nil
	}
	return c.file.Close()
}

func (c *Corrections) index() error {
	decoder := json.NewDecoder(c.file)
	for n := 1; ; n++ {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		text, _, _, err := parseCorrected(value)
		if err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		id, err := ParseRowID(text)
		if err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		if c.rows[id] != nil {
			return fmt.Errorf("row %d: id %q is there twice", n, text)
		}
		length := int64(len(value))
		c.rows[id] = &correction{offset: decoder.InputOffset() - length, length: length}
	}
}

func parseCorrected(value []byte) (id, stream string, row []byte, err error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(value, &object); err != nil || object == nil {
		return "", "", nil, errors.New(`expected an object, such as {"id": "12-3", "row": {…}}`)
	}
	if inline, ok := object[inlineID]; ok {
		if err := json.Unmarshal(inline, &id); err != nil {
			return "", "", nil, fmt.Errorf("%s: expected the id of a quarantined row as a string", inlineID)
		}
		delete(object, inlineID)
		row, err = json.Marshal(object)
		return id, "", row, err
	}
	var c corrected
	if err := json.Unmarshal(value, &c); err != nil {
		return "", "", nil, fmt.Errorf(`expected {"id": "12-3", "row": {…}}: %w`, err)
	}
	if c.ID == "" || !bytes.HasPrefix(c.Row, []byte("{")) {
		return "", "", nil, fmt.Errorf(`expected an "id" and a "row" with the columns as an object, or the row with its id as %q`, inlineID)
	}
	return c.ID, c.Stream, c.Row, nil
}

// Row reads a corrected row; false if there is none of that id.
func (c *Corrections) Row(id RowID) (stream string, row []byte, found bool, err error) {
	if c == nil || c.rows[id] == nil {
		return "", nil, false, nil
	}
	at := c.rows[id]
	value := make([]byte, at.length)
	if _, err := c.file.ReadAt(value, at.offset); err != nil {
		return "", nil, false, fmt.Errorf("read the corrected row %s again: %w", id, err)
	}
	_, stream, row, err = parseCorrected(value)
	return stream, row, true, err
}

// meet notes that a row has been met; false if the file has none of that id.
func (c *Corrections) meet(id RowID) bool {
	if c == nil || c.rows[id] == nil {
		return false
	}
	c.rows[id].met = true
	return true
}

func (c *Corrections) unmet() []RowID {
	if c == nil {
		return nil
	}
	var all []RowID
	for id, at := range c.rows {
		if !at.met {
			all = append(all, id)
		}
	}
	return all
}
