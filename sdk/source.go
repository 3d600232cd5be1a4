package sdk

import (
	"context"
	"encoding/json"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// Source reads streams from a system.
type Source interface {
	// Streams lists what can be read with the settings. It is called without Read before or after it.
	Streams(ctx context.Context) ([]Stream, error)
	// Read emits from req.Position on. It returns nil at the end of input (unless req.Follow), or soon after req.Stop is closed
	// (within five seconds), having emitted what it holds and a last checkpoint: every row and rejection is followed by one. A
	// cancelled ctx means abort: return at once (within a second). A position that it never gave is refused with an error.
	Read(ctx context.Context, req ReadRequest, out Emitter) error
	// Close frees what the constructor took.
	Close(ctx context.Context) error
}

// Acker is a source that confirms upstream what it has read (an LSN, an offset, a message). Ack is the only place where it may
// do so: the runtime calls it once everything up to the position is durable in landing. Calls run beside Read, the latest
// position wins (earlier ones may never be delivered), and the last one is repeated before Read after a restart. What was read and
// not acknowledged can be read again.
type Acker interface {
	Ack(ctx context.Context, pos Position) error
}

// Unordered is a source whose rows come in another order each time, as those of a query without ORDER BY do. Rows of other sources
// come in the same order each time, as far as they have the same stream and origin; rows of different origins may mix.
type Unordered interface {
	Unordered()
}

// Provisioner is a source that needs things of its own in the other system before it can read: a slot, a publication, a subscription.
type Provisioner interface {
	// PlanProvision says what Provision would do with the same request. No effects.
	PlanProvision(ctx context.Context, req ProvisionRequest) ([]Action, error)
	// Provision makes what Read needs, or removes it, and says what it has done. Repeating it changes nothing and gives no actions.
	// The runtime calls it before each Read.
	Provision(ctx context.Context, req ProvisionRequest) ([]Action, error)
}

// ProvisionRequest says what to provide for.
type ProvisionRequest struct {
	Streams []string // that will be read; empty means all
	Remove  bool     // take away instead what Provision and Read have made
}

// Tester tries the settings against the real system without changing anything, and says in a line what it found.
type Tester interface {
	Test(ctx context.Context) (summary string, err error)
}

// Position says where a source would go on from. It is JSON that only the source understands; at most MaxPosition bytes.
type Position = json.RawMessage

// MaxPosition is the largest position in bytes.
const MaxPosition = 4 << 20

// ReadRequest says what to read.
type ReadRequest struct {
	Streams  []string        // names of the streams to read; empty means all
	Position Position        // where the last committed read ended; empty at the first read
	Follow   bool            // wait for new data instead of returning at the end of input
	Stop     <-chan struct{} // closed when the source should come to an end
}

// Stream describes one stream of a source.
type Stream struct {
	Name          string
	Description   string
	Schema        *arrow.Schema // nil when it is known only by reading
	Key           []string      // columns that identify a row; empty when unknown
	Tags          []string
	External      ExternalDataset
	EstimatedRows int64 // 0 when unknown
	// Query is what the system is asked for the rows, in its own language, for people to read; without secrets. Note is what they should
	// know of what is read, and of what is not.
	Query, Note string
}

// ExternalDataset names a dataset outside of Qanat by the OpenLineage naming rules (https://openlineage.io/docs/spec/naming),
// for example file and /data/orders.csv, or s3://bucket and orders.csv.
type ExternalDataset struct {
	Namespace string
	Name      string
}

// Documentation and tags of a column travel as metadata of its Arrow field under these keys; tags are separated by commas.
const (
	MetaDoc  = "qanat.doc"
	MetaTags = "qanat.tags"
)

// Emitter takes what a source produces. Calls may block: that is the back-pressure. All are safe for concurrent use;
// Checkpoint waits for calls in flight.
type Emitter interface {
	// Schema begins a version of a stream: a barrier before its first batch. Versions of a stream grow within one Read.
	Schema(ctx context.Context, c SchemaChange) error
	// Batch emits rows of any number; the SDK cuts them for the wire. The ownership of the record passes. A row of more than
	// 16 MiB is rejected with code row_too_large.
	Batch(ctx context.Context, b Batch) error
	// Reject sends records that can't be batches to quarantine.
	Reject(ctx context.Context, r ...Rejection) error
	// Checkpoint says that the source could go on from pos, all emitted before included. Never inside a transaction.
	Checkpoint(ctx context.Context, pos Position) error
	// Progress tells people how far the source is. It never blocks; of a stream only the latest report counts.
	Progress(p Progress)
}

// SchemaChange is a version of a stream's schema.
type SchemaChange struct {
	Stream  string
	Version int // from 1
	Schema  *arrow.Schema
	Key     []string
}

// Batch is rows of one stream and schema version.
type Batch struct {
	Stream  string
	Version int
	Origin  string // where the rows come from, such as a file's path; kept in landing's _qanat_source
	Record  arrow.RecordBatch
}

// Rejection is a record that goes to quarantine instead of on.
type Rejection struct {
	Stream string
	Code   string // short and stable: malformed, wrong_type, row_too_large …
	Reason string // for people: what is wrong, what was expected
	Raw    []byte // the record as it was met; at most 64 KiB are kept
	Origin string // such as file:line
	// Row is the index in the batch that is being answered (transforms, sinks), so that the runtime can keep the row itself;
	// NoRow when the record never was in a batch.
	Row int
}

// NoRow is the Row of a rejection that belongs to no batch.
const NoRow = -1

// Progress of a read; totals are 0 when unknown.
type Progress struct {
	Stream                string
	Rows, Bytes           uint64
	TotalRows, TotalBytes uint64
	Message               string
	Lag                   *Lag // nil when unknown
}

// Lag is how far a reader is behind its source.
type Lag struct {
	Bytes    uint64        // what the source holds, of its log for instance, that was not emitted yet
	Behind   time.Duration // how long ago what has been emitted was all there was
	Retained uint64        // bytes that the source keeps for this reader, because they were not acknowledged; 0 when unknown
}
