package spec

import (
	"fmt"
	"slices"
	"time"
)

// Upkeep says how datasets are kept small, fast to read and fast to commit to.
type Upkeep struct {
	// Datasets lists the datasets that this is for. A * stands for any characters within one part: landing.*.*.
	Datasets []string `json:"datasets" jsonschema:"required"`
	// Every is the number of commits after which a run looks at a dataset; at one with a key after 10 at the latest.
	Every int64 `json:"every,omitempty" jsonschema:"minimum=1,default=50"`
	// Compact says when small files are put together.
	Compact Compaction `json:"compact,omitzero"`
	// Snapshots says which snapshots are kept. Those that readers are sent to, and those that branches need, always are.
	Snapshots SnapshotRetention `json:"snapshots,omitzero"`
	// Files says when files that were replaced are removed.
	Files FileRetention `json:"files,omitzero"`
	// Orphans says when objects are removed that a crash left behind.
	Orphans OrphanRetention `json:"orphans,omitzero"`
}

// Compaction says when small files are put together.
type Compaction struct {
	// Off leaves files as they were written.
	Off bool `json:"off,omitempty"`
	// Below is the size below which a file is small.
	Below Size `json:"below,omitempty" jsonschema:"default=64MiB"`
	// Files is how many small files of a flow that lie together are put together.
	Files int64 `json:"files,omitempty" jsonschema:"minimum=2,default=16"`
	// Target is the size of the files that are made.
	Target Size `json:"target,omitempty" jsonschema:"default=256MiB"`
}

// SnapshotRetention says which snapshots are kept.
type SnapshotRetention struct {
	// Keep is how many of the newest are kept.
	Keep int64 `json:"keep,omitempty" jsonschema:"minimum=1,default=20"`
	// YoungerThan keeps those, too, that were the newest this long ago.
	YoungerThan Duration `json:"younger_than,omitempty" jsonschema:"default=10m"`
	// Most is how many are kept because of younger_than; each is read and written with every commit.
	Most int64 `json:"most,omitempty" jsonschema:"minimum=1,default=50"`
}

// FileRetention says when files that were replaced are removed.
type FileRetention struct {
	// Grace is how long a data file is kept after the last snapshot that refers to it went. No reader may take longer.
	Grace Duration `json:"grace,omitempty" jsonschema:"default=1h"`
}

// OrphanRetention says when objects are removed that nothing ever referred to.
type OrphanRetention struct {
	// OlderThan is the age at which they are. No unit may take longer to write.
	OlderThan Duration `json:"older_than,omitempty" jsonschema:"default=24h"`
}

// youngestOrphan is the least age of orphans: the files of a unit that is being written are orphans until it commits.
const youngestOrphan = time.Hour

// UpkeepOf is what holds for a dataset: the first item that matches it, or else the defaults.
func (p *Project) UpkeepOf(d Dataset) Upkeep {
	for _, u := range p.Upkeep {
		if slices.ContainsFunc(u.Datasets, func(text string) bool {
			pattern, err := ParsePattern(text)
			return err == nil && pattern.Matches(d)
		}) {
			return u
		}
	}
	var u Upkeep
	u.complete()
	return u
}

// complete fills in defaults.
func (u *Upkeep) complete() {
	orElse(&u.Every, 50)
	orElse(&u.Compact.Below, 64<<20)
	orElse(&u.Compact.Files, 16)
	orElse(&u.Compact.Target, 256<<20)
	orElse(&u.Snapshots.Keep, 20)
	orElse(&u.Snapshots.YoungerThan, Duration(10*time.Minute))
	orElse(&u.Snapshots.Most, max(50, u.Snapshots.Keep))
	orElse(&u.Files.Grace, Duration(time.Hour))
	orElse(&u.Orphans.OlderThan, Duration(day))
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// upkeep checks the items and fills in their defaults.
func (c *checker) upkeep(items []Upkeep) {
	seen := map[string]string{}
	for i := range items {
		u, at := &items[i], fmt.Sprintf("/upkeep/%d", i)
		u.complete()
		if len(u.Datasets) == 0 && c.present(at+"/datasets") {
			c.fail(at+"/datasets", "bad-value", "the list is empty, and upkeep is for at least one dataset", "")
		}
		for j, text := range u.Datasets {
			where := fmt.Sprintf("%s/datasets/%d", at, j)
			if text == "" { // decoding reported it
				continue
			}
			if _, err := ParsePattern(text); err != nil {
				c.err(where, err)
			}
			if first, twice := seen[text]; twice {
				c.fail(where, "duplicate-name", fmt.Sprintf("%q is listed before, and the first item that matches holds", text),
					"the first is at "+c.root.Locate(first).String())
				continue
			}
			seen[text] = where
		}
		c.upkeepValues(u, at)
	}
}

func (c *checker) upkeepValues(u *Upkeep, at string) {
	if u.Compact.Below > u.Compact.Target {
		c.fail(at+"/compact", "bad-value", fmt.Sprintf("files of %s would be small, below %s, and put together again and again",
			u.Compact.Target, u.Compact.Below), "below must not be above target")
	}
	if u.Snapshots.Most < u.Snapshots.Keep {
		c.fail(at+"/snapshots/most", "bad-value", fmt.Sprintf("at most %d snapshots contradict keeping %d", u.Snapshots.Most, u.Snapshots.Keep), "")
	}
	if u.Orphans.OlderThan.Std() < youngestOrphan {
		c.fail(at+"/orphans/older_than", "bad-value", fmt.Sprintf("%s is below %s: files of a unit that is being written would be removed",
			u.Orphans.OlderThan, youngestOrphan), "")
	}
}
