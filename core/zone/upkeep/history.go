package upkeep

import "github.com/apache/iceberg-go/table"

// ancestors walks from a snapshot to the oldest that is there, newest first.
func ancestors(meta table.Metadata, from *table.Snapshot) []*table.Snapshot {
	var out []*table.Snapshot
	for s := from; s != nil; {
		out = append(out, s)
		if s.ParentSnapshotID == nil {
			break
		}
		s = meta.SnapshotByID(*s.ParentSnapshotID)
	}
	return out
}

func contains(history []*table.Snapshot, id int64) bool {
	for _, s := range history {
		if s.SnapshotID == id {
			return true
		}
	}
	return false
}
