package main

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/specs/contract"
)

// listJudge compiles the rules on arrays.
func listJudge(d demand, have arrow.DataType) (judge, error) {
	if _, ok := have.(arrow.ListLikeType); !ok {
		return judge{}, fmt.Errorf("expected an array, found %s", have)
	}
	if d.Kind == contract.KindUniqueItems {
		return judge{find: repeatedItems, expected: "no item twice"}, nil
	}
	low, high := counts(d.MinCount, d.MaxCount)
	return judge{expected: countText(d.MinCount, d.MaxCount, "items"), find: eachList(func(_ arrow.Array, from, to int64) bool {
		return int(to-from) >= low && int(to-from) <= high
	})}, nil
}

func eachList(ok func(items arrow.Array, from, to int64) bool) finder {
	return func(values arrow.Array, fail func(int)) {
		lists, isList := values.(array.ListLike)
		if !isList {
			return
		}
		items := lists.ListValues()
		for i := range lists.Len() {
			if lists.IsNull(i) {
				continue
			}
			if from, to := lists.ValueOffsets(i); !ok(items, from, to) {
				fail(i)
			}
		}
	}
}

// repeatedItems finds lists with two equal items; nulls aren't equal to anything.
func repeatedItems(values arrow.Array, fail func(int)) {
	lists, ok := values.(array.ListLike)
	if !ok {
		return
	}
	encode := encoder(lists.ListValues())
	eachList(func(items arrow.Array, from, to int64) bool {
		seen := map[string]bool{}
		for i := int(from); i < int(to); i++ {
			if items.IsNull(i) {
				continue
			}
			key := string(encode(nil, i))
			if seen[key] {
				return false
			}
			seen[key] = true
		}
		return true
	})(values, fail)
}

func counts(low, high *int) (least, most int) {
	most = math.MaxInt
	if low != nil {
		least = *low
	}
	if high != nil {
		most = *high
	}
	return least, most
}

func countText(low, high *int, unit string) string {
	switch {
	case low == nil && high == nil:
		return "any number of " + unit
	case high == nil:
		return fmt.Sprintf("at least %d %s", *low, unit)
	case low == nil:
		return fmt.Sprintf("at most %d %s", *high, unit)
	}
	return fmt.Sprintf("%d to %d %s", *low, *high, unit)
}
