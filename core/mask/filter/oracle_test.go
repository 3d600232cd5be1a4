package filter_test

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"

	"github.com/qanat-data/qanat/core/mask/filter"
)

// truth is three-valued.
type truth int

const (
	no truth = iota
	unknown
	yes
)

func of(b bool) truth {
	if b {
		return yes
	}
	return no
}

// passes evaluates a predicate on a row as its documentation reads, one value at a time.
func passes(p filter.Predicate, row map[string]any) truth {
	switch p := p.(type) {
	case filter.And:
		all := yes
		for _, part := range p {
			all = min(all, passes(part, row))
		}
		return all
	case filter.Or:
		any := no
		for _, part := range p {
			any = max(any, passes(part, row))
		}
		return any
	case filter.NotTrue:
		return of(passes(p.Of, row) != yes)
	case filter.Constant:
		return of(bool(p))
	case filter.IsNull:
		return of((row[p.Column] == nil) != p.Not)
	case filter.Column:
		return stands(row[p.Name], filter.Equal, true)
	case filter.Compare:
		return stands(row[p.Column], p.Op, plain(p.Value))
	case filter.CompareColumns:
		return stands(exact(row[p.Left]), p.Op, exact(row[p.Right]))
	case filter.In:
		any := no
		for _, v := range p.Values {
			any = max(any, stands(row[p.Column], filter.Equal, plain(v)))
		}
		return any
	case filter.Text:
		s, ok := row[p.Column].(string)
		if !ok {
			return unknown
		}
		switch p.Op {
		case filter.Starts:
			return of(strings.HasPrefix(s, p.Value))
		case filter.Ends:
			return of(strings.HasSuffix(s, p.Value))
		}
		return of(strings.Contains(s, p.Value))
	}
	panic("no such predicate")
}

// exact is what a float is when it meets another column.
func exact(v any) any {
	if f, ok := v.(float); ok {
		return f.exact
	}
	return v
}

func plain(v filter.Value) any {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	if r, ok := new(big.Rat).SetString(string(raw)); ok {
		return r
	}
	var any any
	if err := json.Unmarshal(raw, &any); err != nil {
		panic(err)
	}
	return any
}

func stands(a any, op filter.Op, b any) truth {
	if a == nil || b == nil {
		return unknown
	}
	order := 1
	switch a := a.(type) {
	case bool:
		if a == b.(bool) {
			order = 0
		}
	case string:
		order = strings.Compare(a, b.(string))
	default:
		order = numeric(a, b)
	}
	switch op {
	case filter.Equal:
		return of(order == 0)
	case filter.NotEqual:
		return of(order != 0)
	case filter.Less:
		return of(order < 0)
	case filter.LessOrEqual:
		return of(order <= 0)
	case filter.Greater:
		return of(order > 0)
	}
	return of(order >= 0)
}

func numeric(a, b any) int {
	rank := func(v any) int {
		if f, ok := v.(float64); ok {
			return int(math.Copysign(1, f))
		}
		return 0
	}
	if x, y := rank(a), rank(b); x != 0 || y != 0 {
		return x - y
	}
	if f, ok := a.(float); ok {
		a = f.shortest
	}
	return a.(*big.Rat).Cmp(b.(*big.Rat))
}
