package engine

import (
	"strings"
	"testing"

	"github.com/qanat-data/qanat/core/spec"
)

func TestProjectsThatShareServersStayApart(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	prefixes, schemas := map[string]string{}, map[string]string{}
	for _, name := range []string{"shop", "a-b", "a_b", "a--b", "a-_b", long, long + "y"} {
		p := &spec.Project{Name: name, NATS: spec.NATS{URL: "nats://broker:4222"}, State: spec.State{Type: "postgres"}}
		prefix, schema := natsOf(p, "").Prefix, stateOf(p).Schema
		if other := prefixes[prefix]; other != "" || len(prefix) > longestPrefix || strings.Trim(prefix, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("project %q has the prefix %q, and so has %q", name, prefix, other)
		}
		if other := schemas[schema]; other != "" || len(schema) > longestSchema {
			t.Errorf("project %q has the schema %q, and so has %q", name, schema, other)
		}
		prefixes[prefix], schemas[schema] = name, name
	}
	if prefixes["qanat_shop"] != "shop" || schemas["qanat_a-b"] != "a-b" {
		t.Errorf("simple names are not kept: %v, %v", prefixes, schemas)
	}
	own := &spec.Project{Name: "shop", NATS: spec.NATS{Embedded: true}}
	if prefix := natsOf(own, "").Prefix; prefix != "" {
		t.Errorf("an embedded server has the prefix %q", prefix)
	}
}
