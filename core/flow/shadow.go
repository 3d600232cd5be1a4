package flow

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone"
)

// besideMark begins the suffix of a dataset that is made beside another: orders__replay.
const besideMark = "__"

// Beside names the dataset that a shadow writes beside one of its flow.
func Beside(name zone.Name, p ledger.Purpose) zone.Name {
	suffix := map[ledger.Purpose]string{ledger.ForSwap: "replay", ledger.ForDiff: "diff"}[p]
	name.Dataset += besideMark + suffix
	return name
}

// IsBeside tells datasets that are made beside others by their names, which nothing else may have.
func IsBeside(name zone.Name) bool {
	return strings.HasSuffix(name.Dataset, besideMark+"replay") || strings.HasSuffix(name.Dataset, besideMark+"diff")
}

// Behind is the dataset that one is made beside; itself for every other.
func Behind(name zone.Name) zone.Name {
	if IsBeside(name) {
		name.Dataset = name.Dataset[:strings.LastIndex(name.Dataset, besideMark)]
	}
	return name
}

// Into says where a shadow writes that people want to have.
type Into struct {
	Name    string // as people gave it
	Dataset func(stream string) (zone.Name, error)
}

// quarantineInto is the quarantine of such a shadow.
func quarantineInto(of zone.Name, into string) zone.Name {
	parts := strings.Split(into, ".")
	of.Dataset += besideMark + strings.NewReplacer("{", "", "}", "").Replace(parts[len(parts)-1])
	return of
}

// shadowSettings are those of a flow that makes what a shadow is for: the same steps over the same datasets, into others.
func shadowSettings(s *Settings, shadow ledger.Shadow, into Into) *Settings {
	c, datasets := *s, *s.Datasets
	datasets.Upstream, datasets.Again = nil, false
	c.Name, c.Datasets = shadow.Flow, &datasets
	c.Target = TargetSettings{Mode: s.Target.Mode, QuarantineSchema: s.Target.QuarantineSchema}
	if s.Target.Sink != nil && datasets.Pinned {
		c.Target.Mode = zone.Overwrite
	}
	if shadow.Purpose == ledger.ForInto {
		c.Target.Dataset, c.Quarantine = into.Dataset, quarantineInto(s.Quarantine, into.Name)
	} else {
		c.Quarantine = Beside(s.Quarantine, shadow.Purpose)
		c.Target.Dataset = func(stream string) (zone.Name, error) {
			name, err := s.Target.Dataset(stream)
			return Beside(name, shadow.Purpose), err
		}
	}
	if datasets.Pinned {
		datasets.Only = shadow.Inputs
		return &c
	}
	c.Commit = Thresholds{Rows: 1} // a unit ends where one ended before
	c.Replay = &ReplaySettings{Of: s.Name, Units: shadow.Units}
	return &c
}

// newShadow notes a shadow that does not exist yet.
func newShadow(ctx context.Context, s *Settings, r *Runtime, plan *ReplayPlan, purpose ledger.Purpose, into Into, by string) (ledger.Shadow, error) {
	shadow := ledger.Shadow{
		Flow: ledger.ShadowName(s.Name, purpose, strings.ToLower(rand.Text()[:6])), Of: s.Name, Purpose: purpose, Into: into.Name,
		Units: plan.Units, Open: plan.Open, Made: s.made(), Begun: time.Now(), By: by,
	}
	if plan.Pinned {
		shadow.Inputs = plan.Inputs
	}
	killpoint.Here("before-shadow")
	err := r.Ledger.SaveShadow(ctx, shadow)
	killpoint.Here("after-shadow")
	return shadow, err
}

// seed makes the datasets beside those of the flow, with their columns: what the flow's datasets can't follow, the shadow's must not
// take either.
func seed(ctx context.Context, s *Settings, r *Runtime, shadow ledger.Shadow) error {
	names, err := r.Ledger.DatasetsOf(ctx, s.Name)
	if err != nil {
		return err
	}
	mode := "append"
	if s.Target.Mode == zone.Overwrite {
		mode = "overwrite"
	}
	for _, text := range names {
		name, err := zone.ParseName(text)
		if err != nil {
			return err
		}
		if name == s.Quarantine {
			continue
		}
		target, err := r.Zones.Dataset(ctx, name)
		if errors.Is(err, zone.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		beside := Beside(name, shadow.Purpose)
		if err := r.Ledger.AddWriter(ctx, ledger.Writer{Dataset: beside.String(), Flow: shadow.Flow, Mode: mode}); err != nil {
			return err
		}
		killpoint.Here("before-seed")
		_, err = r.Zones.Create(ctx, beside, target.Schema(), zone.CreateOptions{})
		if err != nil && !errors.Is(err, zone.ErrExists) {
			return err
		}
		killpoint.Here("after-seed")
	}
	return nil
}

// DropShadow removes a shadow with all that it has made. It goes on where one that died left off.
func DropShadow(ctx context.Context, r *Runtime, shadow ledger.Shadow) error {
	names, err := r.Ledger.DatasetsOf(ctx, shadow.Flow)
	if err != nil {
		return err
	}
	var datasets []zone.Name
	for _, text := range names {
		dataset, err := ownOnly(ctx, r, shadow, text)
		if errors.Is(err, zone.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		datasets = append(datasets, dataset.Name())
		if !slices.Contains(shadow.Dropping, dataset.Location()) {
			shadow.Dropping = append(shadow.Dropping, dataset.Location())
		}
	}
	killpoint.Here("before-dropping")
	if err := r.Ledger.SaveShadow(ctx, shadow); err != nil { // a dataset without its name is found by its location only
		return err
	}
	killpoint.Here("after-dropping")
	for _, name := range datasets {
		if err := r.Zones.Drop(ctx, name); err != nil && !errors.Is(err, zone.ErrNotFound) {
			return err
		}
	}
	for _, location := range shadow.Dropping {
		if err := r.Zones.Purge(ctx, location); err != nil {
			return err
		}
	}
	killpoint.Here("before-drop-log")
	log, err := r.Broker.Log(ctx, shadow.Flow, broker.LogSettings{})
	if err != nil {
		return err
	}
	if err := log.Delete(ctx); err != nil {
		return err
	}
	killpoint.Here("before-forget-shadow")
	err = r.Ledger.ForgetShadow(ctx, shadow.Flow)
	killpoint.Here("after-forget-shadow")
	return err
}

// ownOnly opens a dataset that nobody but the shadow writes.
func ownOnly(ctx context.Context, r *Runtime, shadow ledger.Shadow, text string) (*zone.Dataset, error) {
	name, err := zone.ParseName(text)
	if err != nil {
		return nil, err
	}
	writers, err := r.Ledger.Writers(ctx, text)
	if err != nil {
		return nil, err
	}
	for _, w := range writers {
		if w.Flow != shadow.Flow {
			return nil, fmt.Errorf("dataset %q of shadow %q is written by flow %q, too, so it is not dropped", text, shadow.Flow, w.Flow)
		}
	}
	return r.Zones.Dataset(ctx, name)
}
