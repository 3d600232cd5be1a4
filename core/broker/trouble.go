package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// UnavailableError says that the server could not do what was asked for reasons of its own, or was not there. It may pass.
type UnavailableError struct {
	Server string // for people: an address without a password, or a folder
	Err    error
}

// Error implements error.
func (e *UnavailableError) Error() string { return e.Server + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// blame marks errors that the server, or the way to it, is to blame for.
func (b *Broker) blame(err error) error {
	if _, known := errors.AsType[*UnavailableError](err); known || err == nil {
		return err
	}
	_, refused := errors.AsType[*jetstream.APIError](err)
	var coded jetstream.JetStreamError
	if errors.As(err, &coded) && coded.APIError() != nil {
		refused = true
	}
	if final(err) != nil || errors.Is(err, ErrFenced) || !refused && !passing(err) && !errors.Is(err, ErrStalled) {
		return err
	}
	if fault := b.server.storing(); fault != nil {
		err = errors.Join(err, fault)
	}
	return &UnavailableError{Server: b.name(), Err: err}
}

func (b *Broker) name() string {
	if b.server != nil {
		return fmt.Sprintf("the embedded NATS in %q", b.server.settings.Dir)
	}
	return "NATS at " + b.target
}

// ailment is something that does not go as it should. It is one until it is cured.
type ailment struct {
	since time.Time
	cause error
}

// bearable is how long an ailment goes unmentioned: a reconnect takes less.
const bearable = time.Second

func (b *Broker) ails(a *ailment, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.since.IsZero() {
		a.since = time.Now()
	}
	a.cause = cause
	b.sick[a] = true
}

func (b *Broker) cured(a *ailment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*a = ailment{}
	delete(b.sick, a)
}

// Trouble says what is wrong with the server or the way to it right now, and since when; an empty text means nothing.
func (b *Broker) Trouble() (what string, since time.Time) {
	b.mu.Lock()
	worst := b.down
	for a := range b.sick {
		if worst.since.IsZero() {
			worst = *a
		}
		if a.since.Before(worst.since) {
			worst.since = a.since
		}
	}
	b.mu.Unlock()
	if worst.since.IsZero() || time.Since(worst.since) < bearable {
		return "", time.Time{}
	}
	if fault := b.server.storing(); fault != nil {
		return b.name() + ": " + fault.Error(), worst.since
	}
	if !b.conn.IsConnected() {
		return b.name() + ": the connection is lost", worst.since
	}
	return b.name() + ": " + symptom(worst.cause), worst.since
}

// symptom says what people can do something with. Causes that come and go in turn make one.
func symptom(cause error) string {
	switch {
	case errors.Is(cause, nats.ErrNoResponders), errors.Is(cause, jetstream.ErrJetStreamNotEnabled):
		return "JetStream does not answer"
	case cause == nil, passing(cause), errors.Is(cause, errUnanswered):
		return "it does not answer"
	}
	return cause.Error()
}
