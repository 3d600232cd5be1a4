package mask

import (
	"context"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Names of the methods.
const (
	methodNull       = "null"
	methodConstant   = "constant"
	methodRedact     = "redact"
	methodPartial    = "partial"
	methodHash       = "hash"
	methodTokenise   = "tokenise"
	methodGeneralise = "generalise"
	methodDrop       = "drop" // in errors and in plans: it is no method of a Rule
)

// Rule says what to do with a column: a method and its arguments, as the package's documentation lists them.
type Rule struct {
	Method string
	Args   map[string]any
}

// method is a rule that was read.
type method interface {
	// bind fits the method to a type; the fault has neither column nor method.
	bind(in arrow.DataType) (bound, *ArgError)
}

// keyed is a method with a secret key, which it needs before a kernel runs.
type keyed interface {
	method
	keyName() string
	open(secret []byte) error
}

// bound is what a method does to a type.
type bound struct {
	out      arrow.DataType
	nullable bool // the result can be null where the column was not
	flat     bool // the kernel wants the values themselves, no dictionaries and no runs of them
	run      kernel
}

// kernel makes the masked array, which the caller releases. It doesn't keep in.
type kernel func(ctx context.Context, c *call, in arrow.Array) (arrow.Array, error)

// call is what a kernel needs besides the values.
type call struct {
	alloc   memory.Allocator
	refused *atomic.Int64 // counts the values that were redacted instead
}

// parse reads a rule.
func parse(r Rule) (method, []*ArgError) {
	args := &argReader{rule: r}
	var m method
	switch r.Method {
	case methodNull:
		m = nullMask{}
	case methodConstant:
		m = parseConstant(args)
	case methodRedact:
		m = parseRedact(args)
	case methodPartial:
		m = parsePartial(args)
	case methodHash:
		m = parseHash(args)
	case methodTokenise:
		m = parseTokenise(args)
	case methodGeneralise:
		m = parseGeneralise(args)
	default:
		return nil, []*ArgError{{
			Method: r.Method, Problem: "there is no such method",
			Allowed: "null, constant, redact, partial, hash, tokenise, generalise",
		}}
	}
	return m, args.done()
}

// Outcome is the type that a mask makes of another, or all that is wrong with the mask, as ArgErrors without a column. It doesn't look
// for keys.
func Outcome(in arrow.DataType, r Rule) (arrow.DataType, error) {
	m, faults := parse(r)
	if len(faults) > 0 {
		return nil, joined(faults)
	}
	b, fault := bindType(m, in)
	if fault != nil {
		fault.Method, fault.Type = r.Method, in
		return nil, fault
	}
	return b.out, nil
}

// bindType binds a method to the values of encoded and extension types.
func bindType(m method, in arrow.DataType) (bound, *ArgError) {
	if _, anyType := m.(nullMask); anyType {
		return m.bind(in)
	}
	if c, ok := m.(*constant); ok && isUUID(in) {
		return c.bindUUID(in.(arrow.ExtensionType))
	}
	values, wrapped := valueType(in)
	if !wrapped {
		return m.bind(in)
	}
	inner, fault := bindType(m, values)
	if run := inner.run; inner.flat {
		inner.flat = false
		inner.run = func(ctx context.Context, c *call, in arrow.Array) (arrow.Array, error) {
			plain := flat(c.alloc, in)
			defer plain.Release()
			return run(ctx, c, plain)
		}
	}
	return inner, fault
}
