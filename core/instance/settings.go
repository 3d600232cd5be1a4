package instance

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/objects"
)

// Settings say what an instance consists of.
type Settings struct {
	// Dir is the .qanat folder of the project; it is made if it is missing.
	Dir string
	// Project is the project's name.
	Project string
	// NATS without a URL is embedded.
	NATS NATS
	// Objects without an Endpoint are embedded; region, keys and LocalRoot are
	// then the embedded server's.
	Objects objects.Settings
	State   State
	// Catalog is an Iceberg catalog of others; without one, it lies in the state database.
	Catalog *zone.REST
	// LandingRetention locks what lies in landing; see zone.Settings.
	LandingRetention time.Duration
	// Wait bounds how long to wait for another process that is starting or
	// stopping on this folder; 0 means a minute.
	Wait   time.Duration
	Logger hclog.Logger
}

// NATS is an external server; see broker.Settings.
type NATS struct {
	URL, User, Password, CredentialsFile string
	// Prefix keeps projects that share a server apart.
	Prefix string
}

// State says where the state database is.
type State struct {
	// Type is sqlite, which is also the default, or postgres.
	Type string
	// DSN and Schema are those of a postgres database; see OpenPostgres.
	DSN, Schema string
}

// The types of state databases.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

const defaultWait = time.Minute

func (s *Settings) complete() error {
	switch s.State.Type {
	case "":
		s.State.Type = SQLite
	case SQLite:
	case Postgres:
		if s.State.Schema == "" {
			return errors.New("a state database in PostgreSQL needs a schema")
		}
	default:
		return fmt.Errorf("state type %q is unknown: expected %q or %q", s.State.Type, SQLite, Postgres)
	}
	if s.Wait == 0 {
		s.Wait = defaultWait
	}
	if s.Logger == nil {
		s.Logger = hclog.NewNullLogger()
	}
	return nil
}
