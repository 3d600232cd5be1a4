package follow

import "time"

// Pace is how often things are done while changes are followed, and how long others are waited for.
type Pace struct {
	Quiet   time.Duration // how often a position that has moved past log without changes is worth a checkpoint
	Report  time.Duration // how often progress is told
	Look    time.Duration // how often the slot's state is looked up
	Fill    time.Duration // how soon a chunk that had to wait for transactions is tried again
	Patient time.Duration // how long a transaction, or a chunk, may take to its end after Stop

	// A connection that breaks is made again for so long, with pauses that grow.
	Reconnect, FirstPause, LongestPause time.Duration
	Slot                                time.Duration // how long a slot is waited for that another process uses: one that was killed, perhaps
}

// Standard is the pace of a real read.
func Standard() Pace {
	return Pace{
		Quiet: 5 * time.Second, Report: time.Second, Look: 5 * time.Second, Fill: 200 * time.Millisecond, Patient: 3500 * time.Millisecond,
		Reconnect: 30 * time.Second, FirstPause: 100 * time.Millisecond, LongestPause: 3 * time.Second, Slot: 5 * time.Second,
	}
}
