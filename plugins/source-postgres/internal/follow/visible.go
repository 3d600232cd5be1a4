package follow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// sight is what a database snapshot sees of transactions: PostgreSQL's txid_current_snapshot, xmin:xmax:running.
type sight struct {
	xmin, xmax uint64
	running    []uint64
}

func parseSight(text string) (sight, error) {
	parts := strings.Split(text, ":")
	var s sight
	var err error
	if len(parts) != 3 {
		return s, fmt.Errorf("%q is no snapshot", text)
	}
	if s.xmin, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return s, err
	}
	if s.xmax, err = strconv.ParseUint(parts[1], 10, 64); err != nil || parts[2] == "" {
		return s, err
	}
	for one := range strings.SplitSeq(parts[2], ",") {
		xid, err := strconv.ParseUint(one, 10, 64)
		if err != nil {
			return s, err
		}
		s.running = append(s.running, xid)
	}
	return s, nil
}

// sees says whether a transaction that has committed is visible. The log has only the lower half of its number; the upper half is that
// which brings it nearest.
func (s sight) sees(xid uint32) bool {
	const half, whole = 1 << 31, 1 << 32
	full := s.xmax&^(whole-1) | uint64(xid)
	switch {
	case full > s.xmax+half && full >= whole:
		full -= whole
	case full+half < s.xmax:
		full += whole
	}
	return full < s.xmin || full < s.xmax && !slices.Contains(s.running, full)
}
