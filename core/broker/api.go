package broker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// apiTimeout bounds one request, apiPatience all tries of it together.
	apiTimeout  = 5 * time.Second
	apiPatience = 30 * time.Second
)

// errShort means that a batch ended early; the whole operation is tried again.
var errShort = errors.New("the server sent less than it has")

// api runs requests to the server that may be repeated without harm, and
// repeats them while the connection is being mended.
func (b *Broker) api(ctx context.Context, op func(context.Context) error) error {
	retry := backoff{first: lookFirst, last: lookLast}
	until := time.Now().Add(apiPatience)
	var ail ailment
	defer b.cured(&ail)
	for {
		changed := b.link.wait()
		err := b.once(ctx, op)
		if err != nil {
			b.ails(&ail, err)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case final(err) != nil:
			return final(err)
		case !passing(err) || time.Now().After(until):
			return err
		}
		retry.pause(ctx, changed)
	}
}

// once runs an operation until it ends, times out or the connection is lost:
// the answer to a request on a lost connection never comes.
func (b *Broker) once(ctx context.Context, op func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	defer context.AfterFunc(b.session(), cancel)()
	return op(ctx)
}

// session ends when the connection that is there now is lost.
func (b *Broker) session() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current
}

// lost ends the session. The next one begins at once: until the connection is
// back everything on it fails by itself.
func (b *Broker) lost(cause error) {
	b.mu.Lock()
	if b.down.since.IsZero() {
		b.down = ailment{since: time.Now(), cause: cause}
	}
	b.end()
	b.current, b.end = context.WithCancel(context.Background())
	b.mu.Unlock()
	b.link.fire()
}

// back ends what lost began.
func (b *Broker) back() {
	b.mu.Lock()
	b.down = ailment{}
	b.mu.Unlock()
	b.link.fire()
}

func passing(err error) bool {
	for _, known := range []error{
		nats.ErrReconnectBufExceeded, nats.ErrConnectionReconnecting, nats.ErrDisconnected, nats.ErrNoResponders,
		nats.ErrTimeout, context.DeadlineExceeded, context.Canceled, errShort, jetstream.ErrJetStreamNotEnabled,
		jetstream.ErrJetStreamNotEnabledForAccount, nats.ErrStaleConnection,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
