package objects

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// DefaultTimeout is how long nothing may move on a request.
	DefaultTimeout = 30 * time.Second
	// A server that was silent once is not given as long again: minio-go repeats requests.
	impatience = 3
	// Shorter silences and failures are no trouble yet: most are over when a request is repeated.
	quiet = 2 * time.Second
	// A failure that nothing has followed for so long says nothing of the server any more.
	outdated = 15 * time.Second
)

// SilentError says that nothing moved on a request: no byte of it was taken, and none of the answer came.
type SilentError struct {
	For time.Duration
}

// Error implements error.
func (e *SilentError) Error() string {
	return fmt.Sprintf("no answer within %s", e.For.Round(10*time.Millisecond))
}

// Timeout makes it a timeout in the terms of package net.
func (*SilentError) Timeout() bool { return true }

// Temporary completes net.Error.
func (*SilentError) Temporary() bool { return true }

// watched gives up requests on which nothing moves, whatever the direction, and knows how the server is doing. A whole request may
// take as long as it wants.
type watched struct {
	next   http.RoundTripper
	limit  time.Duration
	health health
}

// RoundTrip implements http.RoundTripper.
func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	d := w.health.begin(w.limit, cancel)
	request := r.Clone(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		request.Body, request.GetBody = &sending{ReadCloser: r.Body, dog: d}, nil
	}
	response, err := w.next.RoundTrip(request)
	if err != nil {
		w.health.end(d)
		err = d.reason(err)
		cancel(nil)
		if r.Context().Err() == nil { // the caller's change of mind says nothing about the server
			w.health.failed(plain(err).Error())
		}
		return nil, err
	}
	w.health.end(d)
	if response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests {
		w.health.failed("it answers " + response.Status)
	} else {
		w.health.well()
	}
	response.Body = &receiving{ReadCloser: response.Body, dog: d, health: &w.health, caller: r.Context(), cancel: cancel}
	return response, nil
}

// sending watches how the body of a request is taken.
type sending struct {
	io.ReadCloser
	dog *watchdog
}

func (s *sending) Read(p []byte) (int, error) {
	s.dog.moved()
	return s.ReadCloser.Read(p)
}

// receiving watches how the body of an answer comes. Time that the reader takes between two reads does not count.
type receiving struct {
	io.ReadCloser
	dog    *watchdog
	health *health
	caller context.Context
	cancel context.CancelCauseFunc
}

func (r *receiving) Read(p []byte) (int, error) {
	r.health.again(r.dog)
	n, err := r.ReadCloser.Read(p)
	r.health.end(r.dog)
	if err != nil && err != io.EOF { //nolint:errorlint // readers return it bare
		err = r.dog.reason(err)
		if r.caller.Err() == nil {
			r.health.failed("it cuts answers off: " + plain(err).Error())
		}
	}
	return n, err
}

func (r *receiving) Close() error {
	err := r.ReadCloser.Close()
	r.cancel(nil)
	return err
}

// health is what the requests of a client show of its server.
type health struct {
	mu     sync.Mutex
	since  time.Time // of the first failure after the last success
	latest time.Time // of the last failure
	fault  string
	silent bool               // the last failure was a silence
	open   map[*watchdog]bool // what is waited for now
}

// begin watches a request.
func (h *health) begin(limit time.Duration, cancel context.CancelCauseFunc) *watchdog {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.silent {
		limit /= impatience
	}
	d := &watchdog{limit: limit, last: time.Now()}
	d.timer = time.AfterFunc(limit, func() { h.bite(d, cancel) })
	h.open[d] = true
	return d
}

// again watches a request whose answer is read on.
func (h *health) again(d *watchdog) {
	d.moved()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[d] = true
}

func (h *health) bite(d *watchdog, cancel context.CancelCauseFunc) {
	h.mu.Lock()
	h.silent = true
	h.mu.Unlock()
	cancel(d.bitten())
}

// end stops the watch until there is something to wait for again.
func (h *health) end(d *watchdog) {
	d.rest()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, d)
}

func (h *health) failed(fault string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest = time.Now()
	if h.fault == "" {
		h.since = h.latest
	}
	h.fault = fault
}

func (h *health) well() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault, h.silent, h.since = "", false, time.Time{}
}

// trouble says what is wrong with the server and since when; an empty text means nothing.
func (h *health) trouble() (string, time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault != "" && time.Since(h.since) >= quiet && time.Since(h.latest) < outdated {
		return h.fault, h.since
	}
	var oldest time.Time
	for d := range h.open {
		if last, waiting := d.waits(); waiting && (oldest.IsZero() || last.Before(oldest)) {
			oldest = last
		}
	}
	if oldest.IsZero() || time.Since(oldest) < quiet {
		return "", time.Time{}
	}
	return "it does not answer", oldest
}

// watchdog bites when nothing has moved for as long as its limit.
type watchdog struct {
	limit time.Duration
	timer *time.Timer

	mu    sync.Mutex
	last  time.Time // of the last move; zero while nothing is waited for
	cause *SilentError
}

func (d *watchdog) moved() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cause != nil {
		return
	}
	d.last = time.Now()
	d.timer.Reset(d.limit)
}

// rest stops the watch until something is waited for again.
func (d *watchdog) rest() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer.Stop()
	d.last = time.Time{}
}

func (d *watchdog) waits() (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last, !d.last.IsZero()
}

func (d *watchdog) bitten() *SilentError {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cause = &SilentError{For: d.limit}
	return d.cause
}

// reason replaces what a bite made of the request.
func (d *watchdog) reason(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cause != nil {
		return d.cause
	}
	return err
}
