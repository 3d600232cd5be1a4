package mask

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk/change"
)

// plan is what New works out.
type plan struct {
	Settings
	changes change.Indexes
	methods map[string]method
	drop    map[string]bool
	bad     map[string]bool // columns that have a fault already
	faults  []*ArgError

	fields  []arrow.Field
	columns []column
	masked  []string
	refused map[string]*atomic.Int64
}

func newPlan(s Settings) *plan {
	p := &plan{Settings: s, methods: map[string]method{}, drop: map[string]bool{}, bad: map[string]bool{}, refused: map[string]*atomic.Int64{}}
	for _, name := range s.Drop {
		p.drop[name] = true
	}
	at, err := change.Columns(s.Schema)
	if err != nil {
		p.fault(&ArgError{Problem: "the change columns are wrong", Err: err})
	}
	p.changes = at
	return p
}

func (p *plan) fault(f *ArgError) {
	p.bad[f.Column] = true
	p.faults = append(p.faults, f)
}

// read reads the rules and opens their keys.
func (p *plan) read() {
	for _, name := range slices.Sorted(maps.Keys(p.drop)) {
		p.checkColumn(name, methodDrop)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Masks)) {
		rule := p.Masks[name]
		m, faults := parse(rule)
		for _, f := range faults {
			f.Column = name
			p.fault(f)
		}
		if p.checkColumn(name, rule.Method); len(faults) > 0 {
			continue
		}
		p.methods[name] = m
		if k, ok := m.(keyed); ok {
			p.open(name, rule.Method, k)
		}
	}
}

func (p *plan) checkColumn(name, method string) {
	switch {
	case len(p.Schema.FieldIndices(name)) == 0:
		p.fault(&ArgError{Column: name, Method: method, Problem: "there is no such column"})
	case p.changes.Op >= 0 && slices.Contains(change.Names(), name):
		p.fault(&ArgError{Column: name, Method: method, Problem: "it is a change column", Allowed: "the table's columns"})
	case slices.Contains(p.Key, name) && !keepsKeys(method, p.Masks[name]):
		p.fault(&ArgError{
			Column: name, Method: method, Problem: "it is a key column, whose values must stay different",
			Allowed: fmt.Sprintf("tokenise, and hash with a length of at least %d", keyHash),
		})
	}
}

// keepsKeys says whether values that differ still do so after the mask.
func keepsKeys(method string, r Rule) bool {
	switch method {
	case methodTokenise:
		return true
	case methodHash:
		args := &argReader{rule: r}
		return args.whole("length", 0, fullHash, fullHash) >= keyHash
	}
	return false
}

var errNoKeys = errors.New("there are no keys here")

func (p *plan) open(column, method string, k keyed) {
	secret, err := []byte(nil), errNoKeys
	if p.Keys != nil {
		secret, err = p.Keys(k.keyName())
	}
	problem := fmt.Sprintf("the key %q can't be had", k.keyName())
	if err == nil {
		problem = fmt.Sprintf("the key %q can't be used", k.keyName())
		err = k.open(secret)
	}
	if err != nil {
		p.fault(&ArgError{Column: column, Method: method, Arg: "key", Problem: problem, Err: err})
	}
}

// table plans all columns; those of changes are left as they are.
func (p *plan) table() {
	for i, f := range p.Schema.Fields() {
		if p.drop[f.Name] {
			p.masked = append(p.masked, f.Name+": "+methodDrop)
			continue
		}
		c := column{from: i, name: f.Name, key: slices.Contains(p.Key, f.Name)}
		if p.mask(&f, &c) {
			p.masked = append(p.masked, fmt.Sprintf("%s: %s → %s", f.Name, p.Masks[f.Name].Method, f.Type))
		}
		p.fields = append(p.fields, f)
		p.columns = append(p.columns, c)
	}
}

// mask changes a field and its column to what the column's rule makes of them; false: there is none.
func (p *plan) mask(f *arrow.Field, c *column) bool {
	m := p.methods[f.Name]
	if m == nil {
		return false
	}
	b, fault := bindType(m, f.Type)
	if fault != nil {
		if !p.bad[f.Name] {
			fault.Column, fault.Method, fault.Type = f.Name, p.Masks[f.Name].Method, f.Type
			p.fault(fault)
		}
		return false
	}
	if !arrow.TypeEqual(f.Type, b.out) {
		f.Metadata = plainMetadata(f.Metadata)
	}
	f.Type, f.Nullable = b.out, f.Nullable || b.nullable
	c.run, c.refused = b.run, p.counter(f.Name)
	return true
}

// counter is the same for a column and for its values in _before.
func (p *plan) counter(column string) *atomic.Int64 {
	if p.refused[column] == nil {
		p.refused[column] = &atomic.Int64{}
	}
	return p.refused[column]
}

// tableColumns is the number of columns left besides those of changes.
func (p *plan) tableColumns() int {
	n := 0
	for _, f := range p.fields {
		if p.changes.Op < 0 || !slices.Contains(change.Names(), f.Name) {
			n++
		}
	}
	return n
}

// plainMetadata leaves out what only an extension type has.
func plainMetadata(m arrow.Metadata) arrow.Metadata {
	if m.FindKey("ARROW:extension:name") < 0 {
		return m
	}
	kept := m.ToMap()
	delete(kept, "ARROW:extension:name")
	delete(kept, "ARROW:extension:metadata")
	return arrow.MetadataFrom(kept)
}
