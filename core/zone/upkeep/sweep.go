package upkeep

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone/objects"
)

// sweep removes what no list names: objects that a crash or a lost race left behind, uploads that were never finished, and versions.
func (k *keeper) sweep(ctx context.Context) error {
	err := k.sweepOrphans(ctx)
	if k.Objects.Versioned(k.Location + "/metadata") {
		err = errors.Join(err, k.sweepVersions(ctx))
	}
	return err
}

// sweepOrphans lists first and looks at the table afterwards, so that what was committed in between is known.
func (k *keeper) sweepOrphans(ctx context.Context) error {
	var found []objects.Object
	for o, err := range k.Objects.List(ctx, k.Location) {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(o.URI, k.trashFolder()+"/") {
			found = append(found, o)
		}
	}
	uploads, err := k.Objects.Uploads(ctx, k.Location)
	if err != nil {
		return err
	}
	noted, err := k.noted(ctx)
	if err != nil {
		return err
	}
	used, now, err := k.used(ctx)
	if err != nil {
		return err
	}
	var orphans []string
	young := 0
	for _, o := range found {
		switch {
		case used[o.URI] || noted[o.URI]:
		case max(0, now.Sub(o.Modified)) < k.Policy.Orphans: // times are given in whole seconds
			young++
		default:
			orphans = append(orphans, o.URI)
			k.report.Orphans.add(o.Bytes)
		}
	}
	if young > 0 {
		k.keep("%d objects that nothing refers to: younger than %s, they may be of a unit that is being written", young, k.Policy.Orphans)
	}
	if !k.DryRun {
		err = k.remove(ctx, orphans)
	}
	killpoint.Here("after-orphans")
	return errors.Join(err, k.abortUploads(ctx, uploads, now))
}

func (k *keeper) abortUploads(ctx context.Context, uploads []objects.Upload, now time.Time) error {
	var failures error
	for _, u := range uploads {
		if max(0, now.Sub(u.Begun)) < k.Policy.Orphans {
			continue
		}
		k.report.Orphans.add(0)
		if !k.DryRun {
			failures = errors.Join(failures, k.Objects.AbortUpload(ctx, u))
		}
	}
	return failures
}

// noted are the objects that lists name: they have a time of their own.
func (k *keeper) noted(ctx context.Context) (map[string]bool, error) {
	out := map[string]bool{}
	for o, err := range k.Objects.List(ctx, k.trashFolder()) {
		if err != nil {
			return nil, err
		}
		list, err := k.readList(ctx, o.URI)
		if err != nil {
			return nil, err
		}
		for _, f := range list.Files {
			out[f.Path] = true
		}
	}
	return out, nil
}

// used are all objects that the table refers to, and the time by the server's clock.
func (k *keeper) used(ctx context.Context) (map[string]bool, time.Time, error) {
	tbl, err := k.Load(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	clock, err := k.Objects.Read(ctx, tbl.MetadataLocation())
	if err != nil {
		return nil, time.Time{}, err
	}
	used := map[string]bool{tbl.MetadataLocation(): true}
	meta := tbl.Metadata()
	for entry := range meta.PreviousFiles() {
		used[entry.MetadataFile] = true
	}
	for s := range meta.Statistics() {
		used[s.StatisticsPath] = true
	}
	for s := range meta.PartitionStatistics() {
		used[s.StatisticsPath] = true
	}
	refs, err := k.references(ctx, tbl, snapshotsOf(meta))
	if err != nil {
		return nil, time.Time{}, err
	}
	for list := range refs.lists {
		used[list] = true
	}
	files, err := refs.files(slices.Collect(maps.Values(refs.manifests)))
	for path := range refs.manifests {
		used[path] = true
	}
	for path := range files {
		used[path] = true
	}
	return used, clock.Now, err
}

// sweepVersions removes versions that were replaced or deleted, once their retention is over, and then the delete markers.
func (k *keeper) sweepVersions(ctx context.Context) error {
	var failures error
	var until time.Time
	var key string
	var older int // versions of the object that stay
	var marker *objects.Object
	finish := func() {
		if marker != nil && older == 0 {
			_, err := k.removeVersion(ctx, *marker)
			failures = errors.Join(failures, err)
		}
		older, marker = 0, nil
	}
	for o, err := range k.Objects.Versions(ctx, k.Location) {
		if err != nil {
			return errors.Join(failures, err)
		}
		if o.URI != key {
			finish()
			key = o.URI
		}
		if o.Latest {
			if o.Marker {
				marker = &o
			}
			continue
		}
		locked, err := k.removeVersion(ctx, o)
		failures = errors.Join(failures, err)
		if err != nil || !locked.IsZero() {
			older++
		}
		if locked.After(until) {
			until = locked
		}
	}
	finish()
	killpoint.Here("after-versions")
	if k.report.Locked.Count > 0 {
		k.keep("%d versions under retention, the last until %s", k.report.Locked.Count, until.Local().Format(time.DateTime))
	}
	return failures
}

func (k *keeper) removeVersion(ctx context.Context, o objects.Object) (time.Time, error) {
	if k.DryRun {
		k.report.Versions.add(o.Bytes)
		return time.Time{}, nil
	}
	locked, err := k.Objects.RemoveVersion(ctx, o)
	switch {
	case err != nil:
	case !locked.IsZero():
		k.report.Locked.add(o.Bytes)
	default:
		k.report.Versions.add(o.Bytes)
	}
	return locked, err
}
