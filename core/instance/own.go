package instance

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/gateway"
	"github.com/qanat-data/qanat/core/zone/objects"
)

// own starts everything as the process that holds the lock. Guests are let in last.
func (i *Instance) own(ctx context.Context, s Settings) error {
	if err := i.dir.clear(); err != nil {
		return err
	}
	r := run{Version: runVersion, PID: os.Getpid()}
	var err error
	if r.State, r.Catalog, err = s.places(); err != nil {
		return err
	}
	store, err := i.startObjects(ctx, s, &r)
	if err != nil {
		return err
	}
	link, err := i.startBroker(ctx, s, &r)
	if err != nil {
		return err
	}
	if err := i.use(ctx, s, link, store); err != nil {
		return err
	}
	if r.Control, err = i.dir.socket(); err != nil {
		return err
	}
	if i.host, err = listen(ctx, r.Control, i.logger); err != nil {
		return err
	}
	i.opened.add(i.host.close)
	// Undone first: from then on nobody is sent here any more.
	i.opened.add(i.dir.clear)
	return i.dir.write(r)
}

// startObjects runs the embedded object server unless the settings name
// another, and returns what connects to it.
func (i *Instance) startObjects(ctx context.Context, s Settings, r *run) (objects.Settings, error) {
	r.Objects = server{Address: s.Objects.Endpoint}
	if s.Objects.Endpoint != "" {
		return s.Objects, nil
	}
	keys := gateway.Settings{Dir: i.dir.objects(), AccessKey: "qanat-" + rand.Text()[:8], SecretKey: rand.Text()}
	g, err := gateway.Start(ctx, keys)
	if err != nil {
		return objects.Settings{}, fmt.Errorf("start the embedded object server: %w", err)
	}
	i.opened.add(g.Close)
	r.Objects = server{Embedded: true, Address: g.Endpoint(), User: keys.AccessKey, Secret: keys.SecretKey, Root: g.Root()}
	return r.Objects.objects(s.Objects), nil
}

// startBroker runs the embedded broker unless the settings name another, and
// returns what connects to it.
func (i *Instance) startBroker(ctx context.Context, s Settings, r *run) (broker.Settings, error) {
	if s.NATS.URL != "" {
		r.NATS = server{Address: address(s.NATS.URL)}
		return s.NATS.settings(), nil
	}
	srv, err := broker.Start(ctx, broker.ServerSettings{Dir: i.dir.broker(), Logger: i.logger.Named("nats")})
	if err != nil {
		return broker.Settings{}, err
	}
	i.opened.add(func() error { srv.Close(); return nil })
	c := srv.Credentials()
	r.NATS = server{Embedded: true, Address: srv.URL(), User: c.User, Secret: c.Password}
	link := s.NATS.settings()
	link.Server = srv
	return link, nil
}

// use connects to the servers and opens the state database: owner and guest alike.
func (i *Instance) use(ctx context.Context, s Settings, link broker.Settings, store objects.Settings) (err error) {
	i.state = s.State.Type
	if s.State.Type == Postgres {
		i.db, err = OpenPostgres(ctx, s.State.DSN, s.State.Schema)
	} else {
		i.db, err = OpenState(ctx, i.dir.state())
	}
	if err != nil {
		return err
	}
	i.opened.add(i.db.Close)
	link.Logger = i.logger.Named("broker")
	if i.broker, err = broker.Connect(ctx, link); err != nil {
		return err
	}
	i.opened.add(func() error { i.broker.Close(); return nil })
	i.zones, err = zone.Open(ctx, zone.Settings{
		Objects: store, LandingRetention: s.LandingRetention,
		DB: i.db, Dialect: s.State.Type, REST: s.Catalog, Project: s.Project, Logger: i.logger.Named("zone"),
	})
	if err != nil {
		return fmt.Errorf("open the zones: %w", err)
	}
	i.opened.add(i.zones.Close)
	return nil
}

// objects are the settings of who connects to an embedded server.
func (s server) objects(project objects.Settings) objects.Settings {
	return objects.Settings{
		Endpoint: s.Address, AccessKey: s.User, SecretKey: s.Secret, LocalRoot: s.Root,
		BucketPrefix: project.BucketPrefix,
	}
}

func (n NATS) settings() broker.Settings {
	return broker.Settings{URL: n.URL, User: n.User, Password: n.Password, CredentialsFile: n.CredentialsFile, Prefix: n.Prefix}
}

// address is what of a URL tells servers apart; a password in it is none of the guests' business.
func address(list string) string {
	var hosts []string
	for one := range strings.SplitSeq(list, ",") {
		if u, err := url.Parse(strings.TrimSpace(one)); err == nil {
			hosts = append(hosts, u.Host)
		}
	}
	return strings.Join(hosts, ",")
}
