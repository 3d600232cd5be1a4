package instance

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/zone/objects"
)

// Settings say what an instance consists of.
type Settings struct {
	// Dir is the .qanat folder of the project; it is made if it is missing.
	Dir string
	// NATS without a URL is embedded.
	NATS NATS
	// Objects without an Endpoint are embedded; region, keys and LocalRoot are
	// then the embedded server's.
	Objects objects.Settings
	State   State
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
	// Type is sqlite, which is also the default.
	Type string
}

const (
	stateSQLite = "sqlite"
	defaultWait = time.Minute
)

func (s *Settings) complete() error {
	switch s.State.Type {
	case "":
		s.State.Type = stateSQLite
	case stateSQLite:
	default:
		return fmt.Errorf("state type %q can't be used yet: expected %q", s.State.Type, stateSQLite)
	}
	if s.Wait == 0 {
		s.Wait = defaultWait
	}
	if s.Logger == nil {
		s.Logger = hclog.NewNullLogger()
	}
	return nil
}
