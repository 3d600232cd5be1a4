package instance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/zone/objects"
)

// guest is a guest's tie to its owner.
type guest struct {
	conn net.Conn
	lost chan struct{}
	done chan struct{}
}

// join uses what the owner of the folder runs. errNotReady means that there is
// no owner that lets anybody in.
func (i *Instance) join(ctx context.Context, s Settings) error {
	r, err := i.dir.read()
	if err != nil {
		return err
	}
	if i.guest, err = attach(ctx, r.Control); err != nil {
		return err
	}
	go i.watch()
	i.opened.add(i.leave)
	// Only now: before somebody answers, the file may be of an owner that crashed.
	if err := s.agree(r); err != nil {
		return err
	}
	link, store := s.reach(r)
	ctx, cancel := i.Context(ctx)
	defer cancel()
	err = i.use(ctx, s, link, store)
	if err != nil && i.life.Err() != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	return err
}

// attach connects to the owner and waits until it has let this process in.
func attach(ctx context.Context, path string) (*guest, error) {
	ctx, cancel := context.WithTimeout(ctx, greetingTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w: control endpoint: %w", errNotReady, err)
	}
	if err := introduce(conn); err != nil {
		_ = conn.Close() // it is of no use
		return nil, fmt.Errorf("%w: control endpoint: %w", errNotReady, err)
	}
	return &guest{conn: conn, lost: make(chan struct{}), done: make(chan struct{})}, nil
}

func introduce(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(greetingTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, strconv.Itoa(os.Getpid())+"\n"); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(io.LimitReader(conn, maxHello), maxHello).ReadString('\n')
	if err != nil {
		return err
	}
	if line != greeting {
		return fmt.Errorf("it answered %q, expected %q", line, greeting)
	}
	return conn.SetDeadline(time.Time{})
}

// watch ends the instance when the owner is gone: the owner says nothing more,
// so that all that can come is the end.
func (i *Instance) watch() {
	defer close(i.guest.done)
	_, _ = io.Copy(io.Discard, i.guest.conn)
	if i.life.Err() != nil {
		return // it was this side that left
	}
	i.end(ErrOwnerLost)
	close(i.guest.lost)
}

func (i *Instance) leave() error {
	i.end(ErrClosed)
	err := i.guest.conn.Close()
	<-i.guest.done
	return err
}

// agree checks that this command is to use the servers that the owner uses.
func (s Settings) agree(r run) error {
	if r.Version != runVersion {
		return fmt.Errorf("%w: process %d writes run files of version %d, expected %d", ErrOtherSettings, r.PID, r.Version, runVersion)
	}
	for _, of := range []struct {
		name, wanted string
		run          server
	}{
		{"NATS", address(s.NATS.URL), r.NATS},
		{"objects", s.Objects.Endpoint, r.Objects},
	} {
		switch {
		case of.run.Embedded && of.wanted == "", !of.run.Embedded && of.wanted == of.run.Address:
		default:
			return fmt.Errorf("%w: process %d runs with %s %s, this command is set to %s",
				ErrOtherSettings, r.PID, of.name, shown(of.run.Embedded, of.run.Address), shown(of.wanted == "", of.wanted))
		}
	}
	state, catalog, err := s.places()
	if err != nil {
		return err
	}
	for _, of := range []struct{ name, wanted, run string }{{"state", state, r.State}, {"catalog", catalog, r.Catalog}} {
		if of.wanted != of.run {
			return fmt.Errorf("%w: process %d runs with %s %q, this command is set to %q", ErrOtherSettings, r.PID, of.name, of.run, of.wanted)
		}
	}
	return nil
}

// places name the state database and the catalog, without secrets.
func (s Settings) places() (state, catalog string, err error) {
	state = s.State.Type
	if s.State.Type == Postgres {
		if state, err = postgresPlace(s.State.DSN, s.State.Schema); err != nil {
			return "", "", err
		}
	}
	if s.Catalog != nil {
		catalog = s.Catalog.String()
	}
	return state, catalog, nil
}

func shown(embedded bool, address string) string {
	if embedded {
		return "embedded"
	}
	return strconv.Quote(address)
}

// reach is what connects a guest to the owner's servers.
func (s Settings) reach(r run) (broker.Settings, objects.Settings) {
	link, store := s.NATS.settings(), s.Objects
	if r.NATS.Embedded {
		link.URL, link.User, link.Password, link.CredentialsFile = r.NATS.Address, r.NATS.User, r.NATS.Secret, ""
	}
	if r.Objects.Embedded {
		store = r.Objects.objects(s.Objects)
	}
	return link, store
}
