package sdk

import "time"

// CountBuffers is an environment variable that makes a plugin log after each stream how many bytes its allocator, Env.Alloc,
// still holds, as "unreleased". It is for tests of plugins: a count that grows from stream to stream is a leak.
const CountBuffers = "QANAT_COUNT_BUFFERS"

// countBuffers logs the count, once what is on its way to the host has been given back.
func (s *server) countBuffers() {
	if s.counted == nil {
		return
	}
	const patience, step = time.Second, 5 * time.Millisecond
	for range patience / step {
		if s.counted.CurrentAlloc() == 0 {
			break
		}
		time.Sleep(step)
	}
	s.log.Debug("buffers after a stream", "unreleased", s.counted.CurrentAlloc())
}
