package zone

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/killpoint"
)

// Mode says what a unit does to the rows before it.
type Mode int

// The modes of a commit.
const (
	Append    Mode = iota // adds rows
	Overwrite             // replaces every row
	Upsert                // deletes rows by key and adds others; needs a dataset with a key
)

const (
	commitAttempts = 10
	judgeTimeout   = 15 * time.Second
)

// CommitRequest is a unit to make visible.
type CommitRequest struct {
	Files Files
	// Keys, with Upsert, are those of StageKeys: rows of earlier units with one of these keys go. Rows of the unit itself stay,
	// also those whose key is among them.
	Keys Files
	// Truncate, with Upsert, makes every row of earlier units go, whatever its key. Keys are of no use then.
	Truncate bool
	Mark     Mark
	Mode     Mode
	Branch   string // empty: main
	// CheckOwner is called after the table is loaded and before the commit; its error
	// ends the commit.
	CheckOwner func(ctx context.Context) error
}

// Commit makes a unit visible in one snapshot and returns it. It is idempotent: a
// unit that the dataset already holds is returned, not written again. It fails with
// ErrFenced when another runner owns the flow. Any other error leaves it open
// whether the unit is there; call again to learn.
func (d *Dataset) Commit(ctx context.Context, r CommitRequest) (Snapshot, error) {
	if r.Mark.Flow == "" || r.Mark.Seq <= 0 {
		return Snapshot{}, fmt.Errorf("dataset %q: a unit needs a flow and a seq above 0, got %q and %d", d.name, r.Mark.Flow, r.Mark.Seq)
	}
	if r.Mode == Upsert && len(d.key) == 0 {
		return Snapshot{}, fmt.Errorf("dataset %q: %w", d.name, ErrNoKey)
	}
	if r.Mode != Upsert && (r.Truncate || r.Keys.Count() > 0) {
		return Snapshot{}, fmt.Errorf("dataset %q: keys and truncate are for upserts", d.name)
	}
	return d.change(ctx, change{
		branch: branchName(r.Branch), mark: r.Mark, owner: r.CheckOwner,
		settled: func(s Snapshot) (bool, error) { return holdsUnit(s, r.Mark) },
		stage: func(ctx context.Context, tx *table.Transaction, tbl *table.Table, p iceberg.Properties) error {
			return stageUnit(ctx, tx, tbl, r, p)
		},
		follow: followed(r.Mode),
	})
}

func followed(m Mode) following {
	if m == Append {
		return followOthers
	}
	return followUpkeep
}

func branchName(branch string) string {
	if branch == "" {
		return table.MainBranch
	}
	return branch
}

// holdsUnit tells whether a head already carries a unit, or belongs to a newer owner, whose unit of that number is another one.
func holdsUnit(s Snapshot, m Mark) (bool, error) {
	have, ok := s.marks[m.Flow]
	switch {
	case ok && have.Epoch > m.Epoch:
		return false, fencedBy(have, m)
	case ok && have.Seq >= m.Seq:
		return true, nil
	}
	return false, nil
}

func fencedBy(have, want Mark) error {
	return fmt.Errorf("flow %q: epoch %d is over, the dataset carries epoch %d: %w", want.Flow, want.Epoch, have.Epoch, ErrFenced)
}

// emptyAppend makes a snapshot without files: it moves the head and carries marks.
func emptyAppend(ctx context.Context, tx *table.Transaction, p iceberg.Properties) error {
	return tx.AddFiles(ctx, nil, p, true)
}

// stageFunc adds a snapshot with some properties to a transaction on the table.
type stageFunc func(context.Context, *table.Transaction, *table.Table, iceberg.Properties) error

// change is one snapshot that a flow adds to a branch.
type change struct {
	branch  string
	kind    string
	mark    Mark
	owner   func(ctx context.Context) error
	settled func(head Snapshot) (bool, error)
	stage   stageFunc
	follow  following
}

// following says whose snapshots may come between load and commit: the change is
// then tried again on top of them. Any other writer fences it out.
type following int

const (
	followUpkeep following = iota // snapshots of no flow
	followOthers                  // and those of other flows
	followAll                     // and those of the flow itself
)

// markOn is the change's mark after a head; a fence keeps the flow's seq.
func (c change) markOn(head Snapshot) Mark {
	m := c.mark
	if c.kind == KindFence {
		m.Seq = head.marks[m.Flow].Seq
	}
	return m
}

// change loads, checks and commits until the change is in, refused, or out of attempts.
func (d *Dataset) change(ctx context.Context, c change) (Snapshot, error) {
	defer d.zones.lock(d.name)()
	var failure error
	for range commitAttempts {
		tbl, err := d.load(ctx)
		if err != nil {
			return Snapshot{}, err
		}
		done, out, err := d.settled(tbl, c)
		if done || err != nil {
			return out, err
		}
		out, failure = d.attempt(ctx, tbl, c)
		if failure == nil {
			return out, nil
		}
		if refused, ok := errors.AsType[*refusal](failure); ok {
			return Snapshot{}, refused.err
		}
		again, out, err := d.judge(ctx, tbl, c, failure)
		if !again {
			return out, err
		}
	}
	return Snapshot{}, fmt.Errorf("dataset %q: gave up after %d attempts: %w", d.name, commitAttempts, failure)
}

// refusal is an error that no second attempt can mend.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// settled tells whether the branch already carries the change, and finds the
// snapshot that brought it.
func (d *Dataset) settled(tbl *table.Table, c change) (bool, Snapshot, error) {
	head, err := snapshotOf(tip(tbl, c.branch))
	if err != nil {
		return false, Snapshot{}, fmt.Errorf("dataset %q: %w", d.name, err)
	}
	done, err := c.settled(head)
	if err != nil {
		return false, Snapshot{}, fmt.Errorf("dataset %q: %w", d.name, err)
	}
	if !done && c.branch != table.MainBranch {
		return false, head, d.ownsMain(tbl, c.mark)
	}
	if !done || c.kind == KindFence || c.kind == KindUndo {
		return done, head, nil
	}
	for _, s := range ancestors(tbl, tip(tbl, c.branch)) {
		own, err := snapshotOf(s)
		if err != nil {
			return true, head, nil //nolint:nilerr // an unreadable ancestor is no reason to deny what the head says
		}
		if own.Kind == c.kind && own.Mark.Flow == c.mark.Flow && own.Mark.Seq == c.mark.Seq {
			return true, own, nil
		}
	}
	return true, head, nil
}

// ownsMain checks a commit to a branch against main, where flows are fenced.
func (d *Dataset) ownsMain(tbl *table.Table, m Mark) error {
	main, err := snapshotOf(tbl.CurrentSnapshot())
	if err == nil && main.marks[m.Flow].Epoch > m.Epoch {
		err = fencedBy(main.marks[m.Flow], m)
	}
	if err != nil {
		return fmt.Errorf("dataset %q: %w", d.name, err)
	}
	return nil
}

// attempt commits once, pinned to the heads that were loaded: the branch's, and
// main's, which a fence moves.
func (d *Dataset) attempt(ctx context.Context, tbl *table.Table, c change) (Snapshot, error) {
	head, err := snapshotOf(tip(tbl, c.branch))
	if err != nil {
		return Snapshot{}, &refusal{fmt.Errorf("dataset %q: %w", d.name, err)}
	}
	if c.owner != nil {
		if err := c.owner(ctx); err != nil {
			return Snapshot{}, &refusal{err}
		}
	}
	killpoint.Here("after-owner-check")
	tx, err := tbl.NewTransactionOnBranchWithError(c.branch)
	if err != nil {
		return Snapshot{}, &refusal{fmt.Errorf("dataset %q: %w", d.name, err)}
	}
	for _, branch := range []string{table.MainBranch, c.branch} {
		if err := tx.AssertRefSnapshotID(branch); err != nil {
			return Snapshot{}, err
		}
	}
	if err := c.stage(ctx, tx, tbl, summary(head, c.kind, c.markOn(head))); err != nil {
		return Snapshot{}, err
	}
	killpoint.Here("before-snapshot") // its manifests are stored
	committed, err := tx.Commit(ctx)
	if err != nil {
		return Snapshot{}, d.zones.rest.blame(err)
	}
	killpoint.Here("after-snapshot")
	return snapshotOf(committed.SnapshotByName(c.branch))
}

// judge decides what a failed commit means by what the table says now: a lost
// answer may hide a commit that went through.
func (d *Dataset) judge(ctx context.Context, before *table.Table, c change, failure error) (again bool, out Snapshot, err error) {
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), judgeTimeout)
	defer cancel()
	tbl, err := d.load(look)
	if err != nil {
		return false, Snapshot{}, errors.Join(fmt.Errorf("dataset %q: %w", d.name, failure), err)
	}
	done, out, err := d.settled(tbl, c)
	if done || err != nil {
		return false, out, err
	}
	if unmoved := tbl.MetadataLocation() == before.MetadataLocation(); ctx.Err() != nil || unmoved {
		// Some catalogs see a conflict where the table has none.
		again := ctx.Err() == nil && errors.Is(failure, table.ErrCommitFailed)
		return again, Snapshot{}, fmt.Errorf("dataset %q: %w", d.name, failure)
	}
	if err := c.mayFollow(before, tbl); err != nil {
		return false, Snapshot{}, fmt.Errorf("dataset %q: %w", d.name, err)
	}
	return true, Snapshot{}, nil
}

// mayFollow tells whether the change may be tried again after what others added.
func (c change) mayFollow(before, now *table.Table) error {
	was := tip(before, c.branch)
	for _, s := range ancestors(now, tip(now, c.branch)) {
		if was != nil && s.SnapshotID == was.SnapshotID {
			return nil
		}
		own, err := snapshotOf(s)
		if err != nil {
			return err
		}
		if !c.follow.allows(own.Mark.Flow, c.mark.Flow) {
			return fmt.Errorf("flow %q seq %d epoch %d: flow %q moved the head to snapshot %d: %w",
				c.mark.Flow, c.mark.Seq, c.mark.Epoch, own.Mark.Flow, own.ID, ErrFenced)
		}
	}
	if was != nil && !c.sameMarks(before, now) {
		return fmt.Errorf("flow %q seq %d: the head was rolled back: %w", c.mark.Flow, c.mark.Seq, ErrFenced)
	}
	return nil
}

// sameMarks tells, where upkeep has let go of the snapshots in between, by the marks whether the change may follow them.
func (c change) sameMarks(before, now *table.Table) bool {
	history := ancestors(now, tip(now, c.branch))
	if len(history) == 0 || history[len(history)-1].ParentSnapshotID == nil {
		return false // all of it is there
	}
	was, err := snapshotOf(tip(before, c.branch))
	is, err2 := snapshotOf(history[0])
	if err != nil || err2 != nil {
		return false
	}
	switch c.follow {
	case followAll:
		return true
	case followOthers:
		return was.marks[c.mark.Flow] == is.marks[c.mark.Flow]
	default:
		return maps.Equal(was.marks, is.marks)
	}
}

func (f following) allows(other, own string) bool {
	switch f {
	case followAll:
		return true
	case followOthers:
		return other != own
	default:
		return other == ""
	}
}

// contents are the files of a snapshot.
type contents struct{ data, deletes []iceberg.DataFile }

func liveFiles(ctx context.Context, tbl *table.Table, s *table.Snapshot) (contents, error) {
	var out contents
	err := eachEntry(ctx, tbl, s, func(e iceberg.ManifestEntry) {
		if f := e.DataFile(); f.ContentType() == iceberg.EntryContentData {
			out.data = append(out.data, f)
		} else {
			out.deletes = append(out.deletes, f)
		}
	})
	return out, err
}

// eachEntry visits the entries of files that a snapshot holds.
func eachEntry(ctx context.Context, tbl *table.Table, s *table.Snapshot, visit func(iceberg.ManifestEntry)) error {
	if s == nil {
		return nil
	}
	fs, err := tbl.FS(ctx)
	if err != nil {
		return err
	}
	manifests, err := s.Manifests(fs)
	if err != nil {
		return fmt.Errorf("manifests of snapshot %d: %w", s.SnapshotID, err)
	}
	for _, m := range manifests {
		for e, err := range m.Entries(fs, true) {
			if err != nil {
				return fmt.Errorf("manifest %q: %w", m.FilePath(), err)
			}
			visit(e)
		}
	}
	return nil
}
