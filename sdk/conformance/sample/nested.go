package sample

import (
	"fmt"
	"math/rand/v2"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// longest is how many items a made-up list has at most.
const longest = 3

func appendNested(b array.Builder, r *rand.Rand) error {
	switch b := b.(type) {
	case *array.MapBuilder:
		return appendMap(b, r)
	case *array.StructBuilder:
		return appendStruct(b, r)
	case *array.FixedSizeListBuilder:
		b.Append(true)
		return repeat(int(b.Type().(*arrow.FixedSizeListType).Len()), func() error { return item(b.ValueBuilder(), r) })
	case array.VarLenListLikeBuilder:
		n := r.IntN(longest + 1)
		b.AppendWithSize(true, n)
		return repeat(n, func() error { return item(b.ValueBuilder(), r) })
	case array.UnionBuilder:
		return appendUnion(b, r)
	case *array.RunEndEncodedBuilder:
		b.Append(1)
		return item(b.ValueBuilder(), r)
	case array.DictionaryBuilder:
		return appendWord(b, r)
	}
	return fmt.Errorf("no made-up values of type %s", b.Type())
}

func repeat(times int, do func() error) error {
	for range times {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func item(b array.Builder, r *rand.Rand) error { return field{nullable: true}.append(b, r) }

func appendMap(b *array.MapBuilder, r *rand.Rand) error {
	b.Append(true)
	for i := range r.IntN(longest + 1) {
		if keys, ok := b.KeyBuilder().(*array.StringBuilder); ok {
			keys.Append(fmt.Sprintf("key %d", i)) // no key twice
		} else if err := appendValue(b.KeyBuilder(), r); err != nil {
			return err
		}
		if err := item(b.ItemBuilder(), r); err != nil {
			return err
		}
	}
	return nil
}

func appendStruct(b *array.StructBuilder, r *rand.Rand) error {
	b.Append(true)
	for i, f := range b.Type().(*arrow.StructType).Fields() {
		if err := (field{nullable: f.Nullable}).append(b.FieldBuilder(i), r); err != nil {
			return err
		}
	}
	return nil
}

func appendUnion(b array.UnionBuilder, r *rand.Rand) error {
	t := b.Type().(arrow.UnionType)
	chosen := r.IntN(len(t.Fields()))
	b.Append(t.TypeCodes()[chosen])
	for i := range t.Fields() {
		switch {
		case i == chosen:
			if err := appendValue(b.Child(i), r); err != nil {
				return err
			}
		case t.Mode() == arrow.SparseMode:
			b.Child(i).AppendEmptyValue()
		}
	}
	return nil
}

// appendWord adds one of a few values, as dictionaries are made for.
func appendWord(b array.DictionaryBuilder, r *rand.Rand) error {
	few := rand.New(rand.NewPCG(uint64(r.IntN(5)), 0)) //nolint:gosec // made-up data
	values := array.NewBuilder(arrowAlloc, b.Type().(*arrow.DictionaryType).ValueType)
	defer values.Release()
	if err := appendValue(values, few); err != nil {
		return err
	}
	one := values.NewArray()
	defer one.Release()
	return b.AppendArray(one)
}
