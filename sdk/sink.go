package sdk

import "context"

// Sink writes to a system outside of Qanat.
//
// The runtime's order of calls is Open, PlanSchema (always), ApplySchema, Begin, and then for each unit Write … Commit. A sink
// that keeps the mark together with its data gives exactly-once delivery.
type Sink interface {
	// Open says what the sink promises. No effects.
	Open(ctx context.Context, req OpenRequest) (Opened, error)
	// PlanSchema says what ApplySchema would do. No effects.
	PlanSchema(ctx context.Context, c SchemaChange) ([]Action, error)
	// ApplySchema prepares the target for batches of the version.
	ApplySchema(ctx context.Context, c SchemaChange) error
	// Begin fences other writers of the flow out and returns the last committed mark (zero if none): afterwards their Commit is
	// refused with Fenced, also that of an earlier instance with the same epoch. An epoch below one that has begun is itself
	// refused with Fenced. What an earlier writer staged and did not commit is dropped.
	Begin(ctx context.Context, epoch uint64) (Mark, error)
	// Write stages rows, whose ownership passes. Rejected rows are named by index; the rest stand.
	Write(ctx context.Context, b Batch) ([]Rejection, error)
	// Commit makes what was staged visible together with the mark. Repeating it for the last committed mark changes nothing and
	// returns the same rejections: the runtime may not have heard them the first time. An older epoch than one that has begun is
	// refused with Fenced.
	Commit(ctx context.Context, m Mark) ([]Rejection, error)
	// Close frees what the constructor took; staged rows that were not committed must not become visible.
	Close(ctx context.Context) error
}

// OpenRequest tells a sink about the flow that it ends.
type OpenRequest struct {
	Flow string // the flow's name, for the mark: several flows may share a target system
	Mode WriteMode
	Key  []string
}

// WriteMode is how a unit changes the target.
type WriteMode string

// The write modes.
const (
	Append    WriteMode = "append"
	Overwrite WriteMode = "overwrite" // the unit replaces all there was
	Upsert    WriteMode = "upsert"
)

// Guarantee is what a sink can promise about the rows of a unit.
type Guarantee string

// The guarantees.
const (
	ExactlyOnce     Guarantee = "exactly_once"     // the mark is kept with the data
	EffectivelyOnce Guarantee = "effectively_once" // a repeated unit changes nothing (keyed upsert)
	AtLeastOnce     Guarantee = "at_least_once"
)

// StreamMark stands for the name of a stream in Opened.External.
const StreamMark = "{stream}"

// Opened is a sink's answer to Open. Preferred sizes of a unit are 0 when the sink has no preference. A sink that writes each stream
// to a dataset of its own has StreamMark in the name of External.
type Opened struct {
	Guarantee      Guarantee
	PreferredRows  int64
	PreferredBytes int64
	External       ExternalDataset
}

// Action is one change of another system: that ApplySchema would make, or Provision.
type Action struct {
	Object      string `json:"object"`
	Description string `json:"description"`
	Destructive bool   `json:"destructive,omitempty"`
}

// Mark names a committed unit.
type Mark struct {
	Epoch    uint64   `json:"epoch"`
	Seq      uint64   `json:"seq"`
	Position Position `json:"position,omitempty"`
}
