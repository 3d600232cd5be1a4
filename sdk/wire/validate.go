package wire

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

// validate checks what a lying sender could get wrong and what later access would panic on: lengths, null counts, offsets and
// dictionary indices, at every depth. For columns of fixed width that is a comparison of sizes and a count of bits.
func validate(batch arrow.RecordBatch) error {
	return (&validation{}).batch(batch)
}

// ValidateStructure is what Decode checks of a batch, but for the encoding of text: whoever reads batches from elsewhere can then
// leave out single rows.
func ValidateStructure(batch arrow.RecordBatch) error {
	return (&validation{anyText: true}).batch(batch)
}

type validation struct {
	anyText bool // text need not be UTF-8
}

func (v *validation) batch(batch arrow.RecordBatch) error {
	for i, column := range batch.Columns() {
		if int64(column.Len()) != batch.NumRows() {
			return fmt.Errorf("column %q has %d rows, the batch says %d", batch.ColumnName(i), column.Len(), batch.NumRows())
		}
		if err := v.array(column); err != nil {
			return fmt.Errorf("column %q: %w", batch.ColumnName(i), err)
		}
	}
	return nil
}

// array walks nested arrays itself: array.ValidateFull would, too, but takes null arrays and empty unions, as the IPC reader makes
// them, for malformed.
func (v *validation) array(a arrow.Array) error {
	switch a := a.(type) {
	case *array.Null:
		return nil
	case *array.Dictionary:
		return v.dictionary(a)
	case array.ExtensionArray:
		return v.array(a.Storage())
	}
	if len(a.Data().Children()) == 0 {
		return v.leaf(a)
	}
	if err := validateNulls(a); err != nil {
		return err
	}
	if full, ok := a.(array.Validator); ok && a.Len() > 0 {
		if err := full.ValidateFull(); err != nil {
			return err
		}
	}
	return v.children(a)
}

// leaf takes text for bytes, which have the same layout, where it may be any.
func (v *validation) leaf(a arrow.Array) error {
	kind := bytesOf(a.DataType())
	if kind == nil || !v.anyText {
		return array.ValidateFull(a)
	}
	data := a.Data()
	retyped := array.NewData(kind, data.Len(), data.Buffers(), nil, data.NullN(), data.Offset())
	defer retyped.Release()
	plain := array.MakeFromData(retyped)
	defer plain.Release()
	return array.ValidateFull(plain)
}

// bytesOf is the type of bytes with the layout of a type of text.
func bytesOf(text arrow.DataType) arrow.DataType {
	switch text.ID() {
	case arrow.STRING:
		return arrow.BinaryTypes.Binary
	case arrow.LARGE_STRING:
		return arrow.BinaryTypes.LargeBinary
	case arrow.STRING_VIEW:
		return arrow.BinaryTypes.BinaryView
	}
	return nil
}

func (v *validation) children(a arrow.Array) error {
	for i, data := range a.Data().Children() {
		child := array.MakeFromData(data)
		err := v.array(child)
		child.Release()
		if err != nil {
			return fmt.Errorf("child %d: %w", i, err)
		}
	}
	return nil
}

func validateNulls(a arrow.Array) error {
	data := a.Data()
	if data.NullN() == 0 {
		return nil
	}
	bitmap := data.Buffers()[0]
	if bitmap == nil || int64(bitmap.Len()) < bitutil.BytesForBits(int64(data.Offset()+data.Len())) {
		return fmt.Errorf("%d nulls in %d values and no bitmap that says which", data.NullN(), data.Len())
	}
	if n := data.Len() - bitutil.CountSetBits(bitmap.Bytes(), data.Offset(), data.Len()); n != data.NullN() {
		return fmt.Errorf("%d nulls announced, there are %d", data.NullN(), n)
	}
	return nil
}

func (v *validation) dictionary(a *array.Dictionary) error {
	if err := array.ValidateFull(a.Indices()); err != nil {
		return err
	}
	if a.Data().Dictionary() == nil {
		return errors.New("no dictionary")
	}
	values := a.Dictionary()
	for i := range a.Len() {
		if a.IsNull(i) {
			continue
		}
		if index := a.GetValueIndex(i); index < 0 || index >= values.Len() {
			return fmt.Errorf("index %d into a dictionary of %d values", index, values.Len())
		}
	}
	if err := v.array(values); err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	return nil
}

// ValidateSchema is what NewDecoder checks of the types of a schema.
func ValidateSchema(schema *arrow.Schema) error { return validateTypes(schema.Fields()) }

// validateTypes checks the parameters of types that Arrow takes as they come.
func validateTypes(fields []arrow.Field) error {
	for _, field := range fields {
		if err := validateType(field.Type); err != nil {
			return fmt.Errorf("field %q: %w", field.Name, err)
		}
	}
	return nil
}

func validateType(t arrow.DataType) error {
	switch t := t.(type) {
	case arrow.DecimalType:
		most := decimalDigits(t)
		if p, s := t.GetPrecision(), t.GetScale(); p < 1 || p > most || s < -most || s > most {
			return fmt.Errorf("%s of precision %d and scale %d, at most %d digits are allowed", t.Name(), p, s, most)
		}
	case *arrow.FixedSizeBinaryType:
		if t.ByteWidth < 1 || t.ByteWidth > MaxRow {
			return fmt.Errorf("values of %d bytes, 1 to %d are allowed", t.ByteWidth, MaxRow)
		}
	case *arrow.DictionaryType:
		return validateType(t.ValueType)
	case arrow.ExtensionType:
		return validateType(t.StorageType())
	case arrow.NestedType:
		return validateTypes(t.Fields())
	}
	return nil
}

func decimalDigits(t arrow.DecimalType) int32 {
	switch t.ID() {
	case arrow.DECIMAL32:
		return 9
	case arrow.DECIMAL64:
		return 18
	case arrow.DECIMAL128:
		return 38
	}
	return 76
}
