package rowfilter

import "github.com/qanat-data/qanat/core/mask/filter"

// allOf is a conjunction without what says nothing: truths, repeated IS NOT NULLs, and those that another part implies.
func allOf(parts []filter.Predicate) filter.Predicate {
	var flat filter.And
	for _, p := range parts {
		switch p := p.(type) {
		case filter.Constant:
			if !p {
				return p
			}
		case filter.And:
			flat = append(flat, p...)
		default:
			flat = append(flat, p)
		}
	}
	implied := map[string]bool{}
	for _, p := range flat {
		for _, column := range reads(p) {
			implied[column] = true
		}
	}
	kept := flat[:0]
	for _, p := range flat {
		if null, ok := p.(filter.IsNull); ok && null.Not {
			if implied[null.Column] {
				continue
			}
			implied[null.Column] = true
		}
		kept = append(kept, p)
	}
	switch len(kept) {
	case 0:
		return filter.Constant(true)
	case 1:
		return kept[0]
	}
	return kept
}

// reads are the columns that an atom is unknown without.
func reads(p filter.Predicate) []string {
	switch p.(type) {
	case filter.Compare, filter.CompareColumns, filter.In, filter.Text, filter.Column:
		return filter.Columns(p)
	}
	return nil
}

// anyOf is a disjunction. Equalities of one column become one look-up.
func anyOf(parts []filter.Predicate) filter.Predicate {
	var flat filter.Or
	for _, p := range parts {
		switch p := p.(type) {
		case filter.Constant:
			if p {
				return p
			}
		case filter.Or:
			flat = append(flat, p...)
		default:
			flat = append(flat, p)
		}
	}
	flat = gathered(flat)
	switch len(flat) {
	case 0:
		return filter.Constant(false)
	case 1:
		return flat[0]
	}
	return flat
}

// gathered puts the constants that a column may equal into one set, where the first of them was.
func gathered(parts filter.Or) filter.Or {
	var out filter.Or
	sets := map[string][]filter.Value{}
	places := map[string]int{}
	for _, p := range parts {
		column, values := equalities(p)
		if values == nil {
			out = append(out, p)
			continue
		}
		if _, found := places[column]; !found {
			places[column] = len(out)
			out = append(out, p)
		}
		sets[column] = append(sets[column], values...)
	}
	for column, values := range sets {
		if len(values) > 1 {
			out[places[column]] = filter.In{Column: column, Values: values}
		}
	}
	return out
}

func equalities(p filter.Predicate) (column string, values []filter.Value) {
	switch p := p.(type) {
	case filter.Compare:
		if p.Op == filter.Equal {
			return p.Column, []filter.Value{p.Value}
		}
	case filter.In:
		return p.Column, p.Values
	}
	return "", nil
}

// opposite is true where the predicate isn't. Nothing in a tree tells unknown from false, so two negations fall away.
func opposite(p filter.Predicate) filter.Predicate {
	switch p := p.(type) {
	case filter.Constant:
		return !p
	case filter.IsNull:
		return filter.IsNull{Column: p.Column, Not: !p.Not}
	case filter.NotTrue:
		return p.Of
	case filter.And:
		if alternatives := negated(p); alternatives != nil {
			return anyOf(alternatives)
		}
	}
	return filter.NotTrue{Of: p}
}

// negated is what a conjunction of nothing but negations negates.
func negated(parts filter.And) []filter.Predicate {
	out := make([]filter.Predicate, len(parts))
	for i, p := range parts {
		not, ok := p.(filter.NotTrue)
		if !ok {
			return nil
		}
		out[i] = not.Of
	}
	return out
}
