package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Settings say which server to connect to, and as whom.
type Settings struct {
	// URL of the server, or of several of its cluster separated by commas; not
	// needed when Server is set.
	URL string
	// User and Password, or CredentialsFile (a NATS .creds file), or neither.
	User, Password  string
	CredentialsFile string
	// Server is an embedded server of this process: the connection skips the
	// network, and the credentials are the server's own.
	Server *Server
	// Prefix keeps projects that share a server apart: letters, digits and
	// underscores. Empty means "qanat".
	Prefix string
	Logger hclog.Logger
}

// Broker is a connection to a JetStream server. It is safe for concurrent use.
type Broker struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	server *Server // nil if it is not embedded in this process
	target string  // for messages
	prefix string
	logger hclog.Logger

	link signal // fires when the connection is lost and when it is back

	mu      sync.Mutex
	current context.Context // the session
	end     context.CancelFunc
	purges  map[string]*signal // by stream: fires when this process purges it
	down    ailment            // since the connection was lost
	sick    map[*ailment]bool  // what else does not go as it should
}

const (
	connectTimeout    = 5 * time.Second
	reconnectFirst    = 50 * time.Millisecond
	reconnectLast     = 2 * time.Second
	reconnectDoubling = 6
	// A server that takes what is sent and never answers is found out by pings.
	pingEvery, pingsUnanswered = 10 * time.Second, 2
)

// Connect opens a connection that mends itself, with back-off, until Close.
// It fails at once when the server can't be reached or has no JetStream.
func Connect(ctx context.Context, s Settings) (*Broker, error) {
	b := &Broker{prefix: s.Prefix, server: s.Server, logger: orNull(s.Logger), purges: map[string]*signal{}, sick: map[*ailment]bool{}}
	b.current, b.end = context.WithCancel(context.Background())
	if b.prefix == "" {
		b.prefix = defaultPrefix
	}
	if !prefixPattern.MatchString(b.prefix) {
		return nil, fmt.Errorf("broker prefix %q: expected 1 to 40 letters, digits or underscores", s.Prefix)
	}
	var err error
	if b.target, err = redacted(s); err != nil {
		return nil, err
	}
	if b.conn, err = nats.Connect(s.URL, b.options(s)...); err != nil {
		return nil, fmt.Errorf("connect to broker at %q: %w", b.target, err)
	}
	if b.js, err = jetstream.New(b.conn); err == nil {
		err = b.once(ctx, func(ctx context.Context) error {
			_, err := b.js.AccountInfo(ctx)
			return err
		})
	}
	if err != nil {
		b.conn.Close()
		return nil, fmt.Errorf("use JetStream of broker at %q: %w", b.target, err)
	}
	return b, nil
}

// Close ends the connection; publishers and readers on it fail with ErrClosed.
func (b *Broker) Close() { b.conn.Close() }

// Logs lists the flows that have a log on this server under this prefix.
func (b *Broker) Logs(ctx context.Context) ([]string, error) {
	var flows []string
	err := b.api(ctx, func(ctx context.Context) error {
		flows = nil
		lister := b.js.StreamNames(ctx, jetstream.WithStreamListSubject(b.prefix+".log.>"))
		for name := range lister.Name() {
			if flow, ok := flowOf(b.prefix, name); ok {
				flows = append(flows, flow)
			}
		}
		return lister.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list logs: %w", b.blame(err))
	}
	slices.Sort(flows)
	return flows, nil
}

func (b *Broker) options(s Settings) []nats.Option {
	options := []nats.Option{
		nats.Name("qanat"),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(pingsUnanswered),
		// What was not sent must fail at once: a publisher decides itself what
		// to send again, after it has looked at the log.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.logger.Info("broker connection lost", "error", err)
			}
			b.lost(err)
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			b.logger.Info("broker connection is back")
			b.back()
		}),
		nats.ClosedHandler(func(*nats.Conn) { b.lost(nil) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.logger.Warn("broker connection", "error", err)
		}),
	}
	user, password := s.User, s.Password
	if s.Server != nil {
		options = append(options, nats.InProcessServer(s.Server))
		user, password = s.Server.credentials.User, s.Server.credentials.Password
	}
	if user != "" {
		options = append(options, nats.UserInfo(user, password))
	}
	if s.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(s.CredentialsFile))
	}
	return options
}

// purged is the signal that fires when this process purges a stream.
func (b *Broker) purged(stream string) *signal {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.purges[stream]
	if s == nil {
		s = &signal{}
		b.purges[stream] = s
	}
	return s
}

func reconnectDelay(attempts int) time.Duration {
	delay := min(reconnectFirst<<min(attempts, reconnectDoubling), reconnectLast)
	return delay/2 + rand.N(delay/2) //nolint:gosec // jitter needs no secrecy
}

// redacted names the server for messages, without passwords in its URLs.
func redacted(s Settings) (string, error) {
	if s.Server != nil {
		return s.Server.URL(), nil
	}
	var shown []string
	for one := range strings.SplitSeq(s.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Host == "" {
			return "", fmt.Errorf("broker URL can't be read: expected %q or %q, several separated by commas",
				"nats://host:port", "tls://host:port")
		}
		shown = append(shown, u.Redacted())
	}
	return strings.Join(shown, ","), nil
}
