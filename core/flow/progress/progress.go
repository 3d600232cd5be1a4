// Package progress is what the flows of one run know of each other, and what people are shown of them. It lives in memory: what is
// committed stands in core/flow/ledger.
package progress

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/qanat-data/qanat/sdk"
)

// Progress is what the flows of one run know of each other, and what people are shown. Safe for concurrent use.
type Progress struct {
	mu      sync.Mutex
	changed chan struct{}
	flows   map[string]*Status
}

// Status of a flow in this run. Rows and bytes are of this run only.
type Status struct {
	Flow        string       `json:"flow"`
	State       State        `json:"state"`
	Note        string       `json:"note,omitempty"` // what it waits for, or why it ended
	Seq         int64        `json:"seq"`
	Units       int64        `json:"units"`
	Read        int64        `json:"rows_read"`
	Written     int64        `json:"rows_written"`
	Quarantined int64        `json:"rows_quarantined"`
	Filtered    int64        `json:"rows_filtered"`
	Warned      int64        `json:"rows_warned"`
	Released    int64        `json:"rows_released,omitempty"` // read from quarantine
	Bytes       int64        `json:"bytes_written"`
	Restarts    int64        `json:"restarts"`
	Snapshots   Snapshots    `json:"snapshots,omitempty"`
	Started     time.Time    `json:"started"`
	Ended       time.Time    `json:"ended,omitzero"`
	Source      sdk.Progress `json:"-"` // the source's last word
	Reading     int64        `json:"-"` // rows read, committed or not
}

// Snapshots are ids by dataset.
type Snapshots map[string]int64

// State of a flow in this run.
type State string

// The states.
const (
	Waiting State = "waiting"
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
	Paused  State = "held"    // a unit is held
	Skipped State = "skipped" // not run, because a flow before it failed
	Stopped State = "stopped" // asked to
	Fenced  State = "fenced"  // taken over by another runner
)

// Ended says that the flow does nothing more in this run.
func (s State) Ended() bool { return s != Waiting && s != Running }

// New knows the flows of a run.
func New(flows ...string) *Progress {
	p := &Progress{changed: make(chan struct{}), flows: map[string]*Status{}}
	for _, flow := range flows {
		p.flows[flow] = &Status{Flow: flow, State: Waiting, Snapshots: Snapshots{}, Started: time.Now()}
	}
	return p
}

// Update changes a flow's status and wakes whoever waits.
func (p *Progress) Update(flow string, change func(*Status)) {
	p.Note(flow, change)
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
}

// Note changes a flow's status in what nobody waits for.
func (p *Progress) Note(flow string, change func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.flows[flow]
	if s == nil {
		s = &Status{Flow: flow, State: Waiting, Snapshots: Snapshots{}, Started: time.Now()}
		p.flows[flow] = s
	}
	change(s)
}

// Of returns a copy of a flow's status.
func (p *Progress) Of(flow string) Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.flows[flow]; s != nil {
		return *s
	}
	return Status{Flow: flow}
}

// Flows lists the flows that are known by now, in the order in which they became known.
func (p *Progress) Flows() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Keys(p.flows), func(a, b string) int {
		return cmp.Or(p.flows[a].Started.Compare(p.flows[b].Started), cmp.Compare(a, b))
	})
}

// Changes returns a channel that is closed at the next change.
func (p *Progress) Changes() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// Ended says whether all the flows have ended, and names one that did not end well.
func (p *Progress) Ended(flows []string) (all bool, failed string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all = true
	for _, flow := range flows {
		s := p.flows[flow]
		if s == nil || !s.State.Ended() {
			all = false
			continue
		}
		if s.State != Done && s.State != Stopped {
			failed = flow
		}
	}
	return all, failed
}
