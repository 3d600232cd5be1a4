package mask

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"
)

// constant puts one value in every row, also where there was a null.
type constant struct{ value any }

func parseConstant(args *argReader) method {
	value, ok := args.value("value")
	if !ok {
		args.fault("value", "is missing", "a value of the column's type; the method null for no value")
	}
	return &constant{value: value}
}

func (m *constant) bind(in arrow.DataType) (bound, *ArgError) {
	switch {
	case in.ID() == arrow.BOOL:
		return m.bindBool()
	case in.ID() == arrow.BINARY || in.ID() == arrow.LARGE_BINARY || in.ID() == arrow.BINARY_VIEW:
		return m.bindText(arrow.BinaryTypes.Binary)
	}
	read, literal := literalOf(in)
	if read == nil {
		return m.bindText(arrow.BinaryTypes.String)
	}
	value, ok := read(m.value)
	if !ok {
		return bound{}, m.fault(literal)
	}
	return bound{out: in, run: repeated(in, value)}, nil
}

func (m *constant) fault(allowed string) *ArgError {
	return &ArgError{Arg: "value", Problem: "is " + shown(m.value), Allowed: allowed}
}

func (m *constant) bindUUID(in arrow.ExtensionType) (bound, *ArgError) {
	s, _ := m.value.(string)
	id, err := uuid.Parse(s)
	if err != nil {
		return bound{}, m.fault("a UUID as text")
	}
	storage := repeated(in.StorageType(), id[:])
	return bound{out: in, run: func(ctx context.Context, c *call, values arrow.Array) (arrow.Array, error) {
		plain, err := storage(ctx, c, values)
		if err != nil {
			return nil, err
		}
		defer plain.Release()
		return array.NewExtensionArrayWithStorage(in, plain), nil
	}}, nil
}

func (m *constant) bindBool() (bound, *ArgError) {
	value, ok := m.value.(bool)
	if !ok {
		return bound{}, m.fault("true, false")
	}
	fill := byte(0)
	if value {
		fill = 0xff
	}
	out := arrow.FixedWidthTypes.Boolean
	return bound{out: out, run: func(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
		bits := memory.NewResizableBuffer(c.alloc)
		defer bits.Release()
		bits.Resize(int(bitutil.BytesForBits(int64(in.Len()))))
		memory.Set(bits.Bytes(), fill)
		return plainArray(out, in.Len(), bits), nil
	}}, nil
}

func (m *constant) bindText(out arrow.DataType) (bound, *ArgError) {
	s, ok := m.value.(string)
	if !ok || len(s) > maxText {
		return bound{}, m.fault("a text of at most 1024 bytes")
	}
	return bound{out: out, run: func(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
		w := newTextWriter(c.alloc, in.Len(), in.Len()*len(s))
		for range in.Len() {
			w.text(s)
		}
		values, err := w.finish(nulls{})
		if err != nil || out.ID() == arrow.STRING {
			return values, err
		}
		defer values.Release()
		return plainArray(out, in.Len(), values.Data().Buffers()[1:]...), nil
	}}, nil
}

// repeated fills a fixed-width array with one value.
func repeated(out arrow.DataType, value []byte) kernel {
	return func(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
		buffer := memory.NewResizableBuffer(c.alloc)
		defer buffer.Release()
		buffer.Resize(in.Len() * len(value))
		all := buffer.Bytes()
		for at := copy(all, value); at > 0 && at < len(all); {
			at += copy(all[at:], all[:at])
		}
		return plainArray(out, in.Len(), buffer), nil
	}
}

// plainArray is an array without nulls.
func plainArray(dt arrow.DataType, length int, buffers ...*memory.Buffer) arrow.Array {
	data := array.NewData(dt, length, append([]*memory.Buffer{nil}, buffers...), nil, 0, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
