package upkeep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone/objects"
)

// trash is what only snapshots refer to that are about to go. It is an object beside the table, stored before they do: so its time is
// when its files stopped being referred to, by the server's clock, and nothing is forgotten however often upkeep dies. Metadata may go
// as soon as the snapshots have, data after the grace, so each has a list of its own.
type trash struct {
	Snapshots []int64 `json:"snapshots"`
	Files     []named `json:"files"`
}

// The kinds of lists.
const (
	trashMetadata = "metadata"
	trashData     = "data"
)

func (k *keeper) trashFolder() string { return k.Location + "/upkeep" }

// leftBy works out what nothing refers to once snapshots are gone.
func (k *keeper) leftBy(ctx context.Context, tbl *table.Table, kept, gone []*table.Snapshot) (metadata, data trash, err error) {
	still, err := k.references(ctx, tbl, kept)
	if err != nil {
		return metadata, data, err
	}
	was, err := k.references(ctx, tbl, gone)
	if err != nil {
		return metadata, data, err
	}
	for _, s := range gone {
		metadata.Snapshots = append(metadata.Snapshots, s.SnapshotID)
		if !still.lists[s.ManifestList] && s.ManifestList != "" {
			metadata.Files = append(metadata.Files, named{Path: s.ManifestList})
		}
	}
	data.Snapshots = metadata.Snapshots
	var loose []iceberg.ManifestFile
	for path, m := range was.manifests {
		if _, kept := still.manifests[path]; !kept {
			loose = append(loose, m)
			metadata.Files = append(metadata.Files, named{path, m.Length()})
		}
	}
	if len(loose) == 0 {
		return metadata, data, nil
	}
	candidates, err := was.files(loose)
	if err != nil {
		return metadata, data, err
	}
	live, err := still.files(slices.Collect(maps.Values(still.manifests)))
	for path, bytes := range candidates {
		if _, ok := live[path]; !ok {
			data.Files = append(data.Files, named{path, bytes})
		}
	}
	return metadata, data, err
}

// note stores lists and returns their names, which tell how much is in them.
func (k *keeper) note(ctx context.Context, metadata, data trash) ([]string, error) {
	var names []string
	for kind, list := range map[string]trash{trashMetadata: metadata, trashData: data} {
		if len(list.Files) == 0 {
			continue
		}
		text, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		amount := list.amount()
		name := fmt.Sprintf("%s/%s-%d-%d-%s.json", k.trashFolder(), kind, amount.Count, amount.Bytes, uuid.NewString())
		if err := k.Objects.Put(ctx, name, text); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func (t trash) amount() Amount {
	var a Amount
	for _, f := range t.Files {
		a.add(f.Bytes)
	}
	return a
}

// amountOf reads kind and amount from the name of a list.
func amountOf(name string) (kind string, a Amount) {
	parts := strings.SplitN(path.Base(name), "-", 4)
	if len(parts) < 4 {
		return "", a
	}
	for i, n := range []*int64{&a.Count, &a.Bytes} {
		value, err := strconv.ParseInt(parts[i+1], 10, 64)
		if err != nil {
			return "", Amount{}
		}
		*n = value
	}
	return parts[0], a
}

// emptyTrash removes what lists name, as far as it is time.
func (k *keeper) emptyTrash(ctx context.Context) error {
	var lists []objects.Object
	for o, err := range k.Objects.List(ctx, k.trashFolder()) {
		if err != nil {
			return err
		}
		lists = append(lists, o)
	}
	if len(lists) == 0 {
		return nil
	}
	tbl, err := k.Load(ctx)
	if err != nil {
		return err
	}
	clock, err := k.Objects.Read(ctx, tbl.MetadataLocation())
	if err != nil {
		return err
	}
	var failures error
	var last time.Time
	for _, list := range lists {
		kind, amount := amountOf(list.URI)
		age := max(0, clock.Now.Sub(list.Modified)) // times are given in whole seconds
		if kind == trashData && age < k.Policy.Grace {
			k.report.Waiting.Count += amount.Count
			k.report.Waiting.Bytes += amount.Bytes
			if list.Modified.After(last) {
				last = list.Modified
			}
			continue
		}
		failures = errors.Join(failures, k.emptyList(ctx, tbl, list.URI, age))
	}
	if k.report.Waiting.Count > 0 {
		k.keep("%d replaced files, the last until %s: readers may be at them", k.report.Waiting.Count,
			last.Add(k.Policy.Grace).Local().Format(time.DateTime))
	}
	return failures
}

// readList gives an empty list if it is gone.
func (k *keeper) readList(ctx context.Context, name string) (trash, error) {
	var list trash
	object, err := k.Objects.Read(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err != nil {
		return list, err
	}
	if err := json.Unmarshal(object.Data, &list); err != nil {
		return list, fmt.Errorf("dataset %q: list %q: %w", k.Name, name, err)
	}
	return list, nil
}

func (k *keeper) emptyList(ctx context.Context, tbl *table.Table, name string, age time.Duration) error {
	list, err := k.readList(ctx, name)
	if err != nil || len(list.Snapshots) == 0 {
		return err
	}
	if slices.ContainsFunc(list.Snapshots, func(id int64) bool { return tbl.SnapshotByID(id) != nil }) {
		// Whoever wrote it died before the snapshots went, or is about to remove them.
		if age < min(foreignListAge, k.Policy.Orphans) {
			return nil
		}
		return k.removeList(ctx, name)
	}
	if kind, _ := amountOf(name); kind == trashData {
		err = k.removeData(ctx, tbl, list.Files)
		killpoint.Here("after-trash-data")
	} else {
		err = k.removeMetadata(ctx, list.Files)
		killpoint.Here("after-trash-metadata")
	}
	if err != nil {
		return err
	}
	return k.removeList(ctx, name)
}

func (k *keeper) removeList(ctx context.Context, name string) error {
	if k.DryRun {
		return nil
	}
	return k.remove(ctx, []string{name})
}

func (k *keeper) removeMetadata(ctx context.Context, files []named) error {
	if k.DryRun {
		return nil
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	return k.remove(ctx, paths)
}

// removeData removes data files, after making sure once more that no snapshot refers to them.
func (k *keeper) removeData(ctx context.Context, tbl *table.Table, data []named) error {
	if len(data) == 0 {
		return nil
	}
	refs, err := k.references(ctx, tbl, snapshotsOf(tbl.Metadata()))
	if err != nil {
		return err
	}
	live, err := refs.files(slices.Collect(maps.Values(refs.manifests)))
	if err != nil {
		return err
	}
	var paths []string
	for _, f := range data {
		if _, ok := live[f.Path]; ok {
			k.Log.Warn("a file of an expired snapshot is in use again, and stays", "dataset", k.Name, "file", f.Path)
			continue
		}
		paths = append(paths, f.Path)
		k.report.Removed.add(f.Bytes)
	}
	if k.DryRun {
		return nil
	}
	return k.remove(ctx, paths)
}
