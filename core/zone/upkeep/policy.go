package upkeep

import "time"

// Policy says how a dataset is kept.
type Policy struct {
	Compact Compact
	// Convert is after how many upserts the keys that they deleted rows by become deletion vectors: 10, if it is 0; never, if it is
	// less.
	Convert   int
	Snapshots Snapshots
	// Grace is how long a data file stays after the last snapshot that referred to it went: the longest that a reader may take.
	Grace time.Duration
	// Orphans is how old an object must be that nothing ever referred to: longer than the longest unit takes.
	Orphans time.Duration
}

// Compact says when small files are put together.
type Compact struct {
	Off    bool
	Below  int64 // a file with fewer bytes is small
	Files  int   // so many that lie together are put together
	Target int64 // size of the files that are made
	// Deleted is how many percent of a file's rows must be deleted for it to be written again without them, whatever its size: 20, if
	// it is 0; never, if it is less.
	Deleted int
}

const (
	convertDefault = 10
	deletedDefault = 20
)

func (p Policy) convert() int {
	if p.Convert == 0 {
		return convertDefault
	}
	return p.Convert
}

// hollow tells whether so many rows of a file are deleted that it is written again.
func (c Compact) hollow(rows, deleted int64) bool {
	percent := c.Deleted
	if percent == 0 {
		percent = deletedDefault
	}
	return percent > 0 && rows > 0 && deleted*100 >= rows*int64(percent)
}

// Snapshots says which snapshots stay.
type Snapshots struct {
	Keep        int           // so many of the newest
	YoungerThan time.Duration // those that were the newest this long ago, …
	Most        int           // … up to this many
	// Settle is how long a snapshot stays that was the newest, however many there are: between being told of a snapshot and opening
	// it, a reader has nothing that holds it.
	Settle time.Duration
}

// Defaults are what is good for most datasets.
func Defaults() Policy {
	return Policy{
		Compact:   Compact{Below: 64 << 20, Files: 16, Target: 256 << 20, Deleted: deletedDefault},
		Convert:   convertDefault,
		Snapshots: Snapshots{Keep: 20, YoungerThan: 10 * time.Minute, Most: 50, Settle: time.Second},
		Grace:     time.Hour,
		Orphans:   24 * time.Hour,
	}
}
