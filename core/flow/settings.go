package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// Runtime is what flows stand on.
type Runtime struct {
	Zones   *zone.Zones
	Broker  *broker.Broker
	Ledger  *ledger.Ledger
	Plugins *pluginhost.Host
	Log     hclog.Logger
	Alloc   memory.Allocator
	Owner   string // names this runner in the state database
	// Patience is how long a flow waits for servers, room on the disk and the like; 0 takes the constant of that name.
	Patience time.Duration
	// Scratch is a folder for what is too much for memory; what is found there is left over.
	Scratch string
	// StateAt is the file of the state database, for messages; empty where it is none.
	StateAt string
	// Progress tells flows of one run about each other's commits.
	Progress *progress.Progress
}

// tenure is this runner's relation to a flow.
func (r *Runtime) tenure(flow string, stopping <-chan struct{}) *tenure.Tenure {
	return tenure.New(flow, tenure.Runner{Name: r.Owner, Ledger: r.Ledger, Progress: r.Progress, Log: r.Log}, stopping)
}

// Settings define one flow.
type Settings struct {
	Name       string // pipeline.flow
	Source     *SourceSettings
	Datasets   *DatasetSettings // exactly one of Source and Datasets
	Redrive    *RedriveSettings // rows of the flow's quarantine are read instead; nil in a usual run
	Transforms []Step
	Checks     []CheckStep
	Target     TargetSettings
	Quarantine zone.Name
	Commit     Thresholds
	LogBytes   int64             // 0 takes the broker's default
	Revisions  map[string]string // of the plugins, kept with each unit
	// Fingerprint names the definition: a flow that overwrites runs again when it or its input has changed.
	Fingerprint string
	// Replay makes the flow a shadow of another one over the same datasets.
	Replay *ReplaySettings
}

// made names what makes units: the definition and the revisions of its plugins.
func (s *Settings) made() string {
	sum := sha256.New()
	_, _ = io.WriteString(sum, s.Fingerprint)
	for _, plugin := range slices.Sorted(maps.Keys(s.Revisions)) {
		_, _ = fmt.Fprintf(sum, "\n%s %s", plugin, s.Revisions[plugin])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// SourceSettings read from a source plugin.
type SourceSettings struct {
	Step
	Streams    []string
	Follow     bool
	Provisions bool // it has the ability
}

// DatasetSettings read from datasets.
type DatasetSettings struct {
	Names []zone.Name
	// As names the inputs; a dataset that is not in it goes by its last part.
	As map[zone.Name]string
	// Upstream are the flows of the same run whose commits are waited for.
	Upstream []string
	// Pinned reads everything once, at the ledger's rows, instead of what is new.
	Pinned bool
	// Again makes a pinned read that was made before.
	Again bool
	// Only bounds a pinned read to units of the input; nil for all.
	Only []ledger.Input
}

// Step is one plugin of a flow.
type Step struct {
	Name     string
	Instance pluginhost.Instance
}

// CheckStep is a check and what its findings lead to.
type CheckStep struct {
	Step
	OnFail OnFail
}

// OnFail is what a finding of a check leads to.
type OnFail string

// What a finding may lead to.
const (
	OnFailWarn       OnFail = "warn"
	OnFailQuarantine OnFail = "quarantine"
	OnFailBlock      OnFail = "block"
)

// TargetSettings say where a flow ends: in datasets or in a sink.
type TargetSettings struct {
	// Dataset names the dataset of a stream.
	Dataset func(stream string) (zone.Name, error)
	Mode    zone.Mode
	// Key, with Upsert, names the columns by which rows replace others; empty takes each stream's own key.
	Key []string
	// History, with Upsert, keeps the versions that were replaced.
	History bool
	// Anew, with Upsert, makes the unit take the place of all there was.
	Anew bool
	// QuarantineSchema sends rows whose schema the dataset can't follow to quarantine; otherwise the flow stops.
	QuarantineSchema bool

	Sink *SinkSettings
}

// SinkSettings end a flow in a sink plugin.
type SinkSettings struct {
	Step
	Mode sdk.WriteMode
	Key  []string
}

// Thresholds close a unit at the first checkpoint past any of them; zero values never do.
type Thresholds struct {
	Every time.Duration
	Rows  int64
	Bytes int64
}

func (t Thresholds) passed(opened time.Time, rows, bytes int64) bool {
	return (t.Rows > 0 && rows >= t.Rows) || (t.Bytes > 0 && bytes >= t.Bytes) || (t.Every > 0 && time.Since(opened) >= t.Every)
}
