package contract

import (
	"fmt"
	"math/big"
)

// Holds says whether count rows out of total are within the limit. Of no rows at all, zero percent break a rule.
func (l Limit) Holds(count, total int64) bool {
	n := new(big.Rat).SetInt64(count)
	if l.Percent {
		n.Mul(n, big.NewRat(100, max(total, 1)))
	}
	c := n.Cmp(l.Value.Rat())
	switch l.Op {
	case OpEqual:
		return c == 0
	case OpNotEqual:
		return c != 0
	case OpGreater:
		return c > 0
	case OpGreaterOrEqual:
		return c >= 0
	case OpLess:
		return c < 0
	case OpLessOrEqual:
		return c <= 0
	case OpBetween:
		return c >= 0 && n.Cmp(l.Upper.Rat()) <= 0
	case OpNotBetween:
		return c < 0 || n.Cmp(l.Upper.Rat()) > 0
	}
	return false
}

// EachRow says whether every single row must keep the rule, so that a row that breaks it can be judged, and
// quarantined, by itself. Otherwise only the whole dataset can be judged.
func (l Limit) EachRow() bool {
	limit := l.Value.Rat()
	switch l.Op {
	case OpEqual, OpLessOrEqual:
		return limit.Sign() == 0
	case OpLess:
		return limit.Sign() > 0 && !l.Percent && limit.Cmp(big.NewRat(1, 1)) <= 0
	}
	return false
}

// String gives the limit for messages, as in "< 5 %".
func (l Limit) String() string {
	s := fmt.Sprintf("%s %s", l.Op, l.Value)
	if l.Op == OpBetween || l.Op == OpNotBetween {
		s += " and " + string(l.Upper)
	}
	if l.Percent {
		s += " %"
	}
	return s
}
