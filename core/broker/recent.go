package broker

import "sync"

// recentBytes bounds what is kept for readers of the parts that this process has stored last.
const recentBytes = 32 << 20

// recent are the parts of a log that its publisher in this process has stored last. A reader that follows closely takes them from here:
// the server has them on disk, but need not read them, send them and keep them in its cache. Where a reader has fallen behind, or
// somebody else writes, it asks the server.
type recent struct {
	moved signal // parts were added

	mu      sync.Mutex
	readers int
	parts   []part // by sequence, without holes
	bytes   int
}

// attach begins to keep parts, until detach is called as often.
func (r *recent) attach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers++
}

func (r *recent) detach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readers--; r.readers == 0 {
		r.parts, r.bytes = nil, 0
	}
}

// add keeps a part that is stored. Its body must not be written to any more.
func (r *recent) add(p part) {
	r.mu.Lock()
	if n := len(r.parts); n > 0 && r.parts[n-1].seq+1 != p.seq {
		r.parts, r.bytes = nil, 0
	}
	if r.readers > 0 {
		r.parts = append(r.parts, p)
		r.bytes += p.size()
		for r.bytes > recentBytes {
			r.drop()
		}
	}
	r.mu.Unlock()
	r.moved.fire()
}

// take gives the part with a sequence, which stays only as long as there are other readers. If there is none, passed says whether later
// ones are there.
func (r *recent) take(seq uint64) (p part, found, passed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.parts) == 0 {
		return part{}, false, false
	}
	first := r.parts[0].seq
	if passed = seq < first; passed || seq-first >= uint64(len(r.parts)) {
		return part{}, false, passed
	}
	p = r.parts[seq-first]
	for r.readers == 1 && len(r.parts) > 0 && r.parts[0].seq <= seq {
		r.drop()
	}
	return p, true, false
}

func (r *recent) drop() {
	r.bytes -= r.parts[0].size()
	r.parts[0] = part{}
	r.parts = r.parts[1:]
}
