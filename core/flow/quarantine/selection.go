package quarantine

import (
	"cmp"
	"slices"
	"time"

	"github.com/qanat-data/qanat/core/zone"
)

// Selection chooses quarantined rows; empty fields choose all.
type Selection struct {
	Code, Stage string
	Unit        int64
	IDs         []RowID
	Since       time.Time // set aside then or later
	All         bool      // says that an otherwise empty selection is meant
}

// Empty says that a selection chooses every row without saying so.
func (s *Selection) Empty() bool {
	return s.Code == "" && s.Stage == "" && s.Unit == 0 && len(s.IDs) == 0 && s.Since.IsZero() && !s.All
}

// Choice is a selection that remembers which of the rows that it names it has met. It is for one reading.
type Choice struct {
	selection Selection
	ids       map[RowID]bool // named, and met
	from      *Corrections
	byFrom    bool // the corrected rows are those that are meant
}

// Choose begins to choose by a selection. An empty one chooses the rows that have corrections, if there are any to go by.
func Choose(s Selection, from *Corrections) *Choice {
	c := &Choice{selection: s, from: from, byFrom: from != nil && s.Empty()}
	if len(s.IDs) > 0 {
		c.ids = map[RowID]bool{}
		for _, id := range s.IDs {
			c.ids[id] = false
		}
	}
	return c
}

func (c *Choice) wants(row Row) bool {
	s := c.selection
	if c.ids != nil {
		if _, named := c.ids[row.ID]; !named {
			return false
		}
		c.ids[row.ID] = true
	}
	named := c.from.meet(row.ID)
	return (named || !c.byFrom) && (s.Code == "" || s.Code == row.Code) && (s.Stage == "" || s.Stage == row.Stage || s.Stage == row.Step) &&
		(s.Unit == 0 || s.Unit == row.Unit) && !row.At.Before(s.Since)
}

// units are those that the choice can be in; none if it can be in any.
func (c *Choice) units() []zone.UnitRange {
	units := map[int64]bool{}
	if c.selection.Unit > 0 {
		units[c.selection.Unit] = true
	} else {
		for id := range c.ids {
			units[id.Unit] = true
		}
	}
	const most = 64 // beyond that, reading everything costs less than the filter
	if len(units) > most {
		return nil
	}
	var ranges []zone.UnitRange
	for unit := range units {
		ranges = append(ranges, zone.UnitRange{After: unit - 1, Upto: unit})
	}
	slices.SortFunc(ranges, func(a, b zone.UnitRange) int { return cmp.Compare(a.After, b.After) })
	return ranges
}

// Unknown are ids that were named but not met, the first few of them.
func (c *Choice) Unknown() []string {
	const most = 20
	var all []RowID
	for id, met := range c.ids {
		if !met {
			all = append(all, id)
		}
	}
	all = append(all, c.from.unmet()...)
	slices.SortFunc(all, func(a, b RowID) int { return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.N, b.N)) })
	var texts []string
	for _, id := range slices.Compact(all[:min(len(all), most)]) {
		texts = append(texts, id.String())
	}
	return texts
}
