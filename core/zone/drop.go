package zone

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/iceberg-go/catalog"

	"github.com/qanat-data/qanat/core/killpoint"
)

// Drop removes a dataset for good: first its name, so that nobody finds half of it, then its objects. It fails with ErrNotFound. Who
// dies in between gives the Location to Purge. Landing, whose records are kept, refuses.
func (z *Zones) Drop(ctx context.Context, n Name) error {
	if n.Zone == Landing {
		return fmt.Errorf("dataset %q: landing keeps every record as it came: its datasets can't be dropped", n)
	}
	defer z.lock(n)()
	tbl, err := z.load(ctx, n)
	if err != nil {
		return err
	}
	killpoint.Here("before-drop-name")
	err = z.catalog.DropTable(ctx, n.identifier())
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return fmt.Errorf("dataset %q: %w", n, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("drop dataset %q: %w", n, err)
	}
	killpoint.Here("after-drop-name")
	return z.Purge(ctx, tbl.Location())
}

// Purge removes the objects of a dataset that was dropped, by its location. It refuses a folder that a dataset has, and whatever
// else is no location of a dataset below landing.
func (z *Zones) Purge(ctx context.Context, location string) error {
	n, err := z.located(location)
	if err != nil {
		return err
	}
	if err := z.vacant(ctx, n, location); err != nil {
		return err
	}
	const page = 1000
	var names []string
	for object, err := range z.client.List(ctx, location) {
		if err != nil {
			return fmt.Errorf("purge %q: %w", location, err)
		}
		if names = append(names, object.URI); len(names) == page {
			if err := z.client.Remove(ctx, names); err != nil {
				return fmt.Errorf("purge %q: %w", location, err)
			}
			names = names[:0]
		}
	}
	if err := z.client.Remove(ctx, names); err != nil {
		return fmt.Errorf("purge %q: %w", location, err)
	}
	return nil
}

// located tells which namespace a location lies in. Dataset is the last part of the location, random part and all.
func (z *Zones) located(location string) (Name, error) {
	for _, zone := range All()[1:] {
		path, found := strings.CutPrefix(location, "s3://"+z.client.Bucket(zone)+"/")
		if !found {
			continue
		}
		namespace, dataset, _ := strings.Cut(path, "/")
		n := Name{Zone: zone, Namespace: namespace, Dataset: dataset}
		if err := n.check(); err != nil {
			return Name{}, fmt.Errorf("purge %q: %w", location, err)
		}
		return n, nil
	}
	return Name{}, fmt.Errorf("purge %q: it is not in the bucket of a zone below landing", location)
}

// vacant makes sure that no dataset has the location.
func (z *Zones) vacant(ctx context.Context, n Name, location string) error {
	for id, err := range z.catalog.ListTables(ctx, n.namespace()) {
		if errors.Is(err, catalog.ErrNoSuchNamespace) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("purge %q: %w", location, err)
		}
		tbl, err := z.load(ctx, Name{Zone: n.Zone, Namespace: n.Namespace, Dataset: id[len(id)-1]})
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if tbl.Location() == location {
			return fmt.Errorf("purge %q: dataset %q lies there", location, strings.Join(id, "."))
		}
	}
	return nil
}
