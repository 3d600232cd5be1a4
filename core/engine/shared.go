package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/qanat-data/qanat/core/instance"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/zone"
)

// The longest names that servers allow.
const (
	longestPrefix = 40 // of a log
	longestSchema = 63
)

// sharedName is what a project is called on servers that several projects may share: two projects never have the same one.
func sharedName(project string, longest int, allowed func(rune) bool) string {
	name := "qanat_" + project
	if len(name) <= longest && strings.IndexFunc(name, func(r rune) bool { return !allowed(r) }) < 0 {
		return name
	}
	sum := sha256.Sum256([]byte(project))
	mark := "_" + hex.EncodeToString(sum[:6])
	name = strings.Map(func(r rune) rune {
		if allowed(r) {
			return r
		}
		return '_'
	}, name)
	return name[:min(len(name), longest-len(mark))] + mark
}

func word(r rune) bool {
	return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// natsOf are the settings of the log. An embedded server is the project's own.
func natsOf(p *spec.Project, credentials string) instance.NATS {
	nats := instance.NATS{
		URL: p.NATS.URL, User: p.NATS.User, Password: p.NATS.Password.Reveal(), CredentialsFile: credentials,
	}
	if nats.URL != "" {
		nats.Prefix = sharedName(p.Name, longestPrefix, word)
	}
	return nats
}

// stateOf are the settings of the state database.
func stateOf(p *spec.Project) instance.State {
	state := instance.State{Type: p.State.Type, DSN: p.State.DSN.Reveal(), Schema: p.State.Schema}
	if state.Schema == "" {
		state.Schema = sharedName(p.Name, longestSchema, func(r rune) bool { return word(r) || r == '-' })
	}
	return state
}

// catalogOf are the settings of a REST catalog, nil where the catalog lies in the state database.
func catalogOf(p *spec.Project) *zone.REST {
	c := p.Catalog
	if c.Type != "rest" {
		return nil
	}
	return &zone.REST{
		URI: c.URI, Warehouse: c.Warehouse, Prefix: c.Prefix, Token: c.Token.Reveal(),
		Credential: c.Credential.Reveal(), OAuthURI: c.OAuthURI, Scope: c.Scope, Audience: c.Audience,
	}
}
