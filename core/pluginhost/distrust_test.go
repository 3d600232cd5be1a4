package pluginhost

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// lying makes the odd plugin speak the protocol by itself; its description is that of the lock.
func (w *world) lying(mode string) Instance {
	w.Helper()
	entry, ok := w.lock.Find(registry.Source, "odd")
	if !ok {
		w.Fatal("the plugin is not locked")
	}
	c := entry.Manifest.Components[0]
	described, err := json.Marshal(&pluginv1.DescribeResponse{
		Name: entry.Name, Version: entry.Manifest.Version, SdkVersion: entry.Manifest.SDKVersion, Components: []*pluginv1.Component{{
			Kind: c.Kind.Proto(), ConfigSchema: c.ConfigSchema, Abilities: c.Abilities,
		}},
	})
	if err != nil {
		w.Fatal(err)
	}
	inst := odd(mode)
	inst.Env = []string{"ODD=lie", "DESCRIBED=" + string(described)}
	return inst
}

func TestClaimsOfASourceAreChecked(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"row count":         "a batch of 3 rows was announced with 4",
		"no schema":         "whose schema did not come before it",
		"other version":     "whose schema did not come before it",
		"version back":      "expected one after the last",
		"version zero":      "expected one after the last",
		"other stream":      "was not asked for",
		"bad key":           `key column "nope"`,
		"garbage":           "malformed",
		"answer to nothing": "while reading",
		"empty frame":       "while reading",
		"too large":         "larger than max",
		"long position":     "at most 4194304 are allowed",
		"no code":           "expected a short word",
		"hangs up":          "it ended the stream before it was asked to",
	}
	w := newWorld(t, checked(t))
	if _, err := w.Manifest(t.Context(), registry.Source, "odd"); err != nil {
		t.Fatal(err)
	}
	for mode, want := range cases {
		t.Run(mode, func(t *testing.T) {
			w := &world{TB: t, Host: w.Host, dir: w.dir, lock: w.lock, log: w.log}
			r := w.read(w.lying(mode), ReadRequest{Streams: []string{"rows"}})
			broken := wants[*ProtocolError](t, last(t, r))
			if !strings.Contains(broken.Detail, want) {
				t.Errorf("got %q, want it to contain %q", broken.Detail, want)
			}
			if Retryable(broken) {
				t.Error("a broken protocol is retryable")
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPositionsMustBeJSON(t *testing.T) {
	t.Parallel()
	broken := wants[*ProtocolError](t, last(t, newWorld(t).read(odd("schemaless"), ReadRequest{})))
	if !strings.Contains(broken.Detail, "not JSON") {
		t.Errorf("got %q", broken.Detail)
	}
}
