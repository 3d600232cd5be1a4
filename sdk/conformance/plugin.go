package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/qanat-data/qanat/sdk/conformance/strict"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// pluginChecks look at the binary and its settings.
func pluginChecks() []check {
	return []check{
		{id: "start", promise: "It starts within ten seconds, with an empty environment.", run: (*suite).starts},
		{id: "describe.valid", promise: "It says what it is in a form that a lock file and policies can hold.", run: (*suite).describeValid},
		{id: "describe.same", promise: "It says the same each time.", run: (*suite).describeSame},
		{id: "config.schema", promise: "The JSON Schema of its settings is one, and the given settings fit it.", run: (*suite).configSchema},
		{id: "config.accepted", promise: "It accepts the given settings.", run: (*suite).configAccepted},
		{id: "config.unknown", promise: "It refuses settings that it does not know, and names them.", needs: []string{"config.accepted", "config.schema"}, run: (*suite).configUnknown},
		{id: "config.type", promise: "It refuses values of a wrong type, and names the setting.", needs: []string{"config.accepted", "config.schema"}, run: (*suite).configType},
		{id: "config.required", promise: "It refuses settings that lack what is required, and names it.", needs: []string{"config.accepted", "config.schema"}, run: (*suite).configRequired},
	}
}

// startState is what the first check measures for the report's summary.
type startState struct {
	took time.Duration
	idle int64
}

const (
	startLimit = 10 * time.Second
	idlePause  = 300 * time.Millisecond
)

func (s *suite) starts(ctx context.Context, t *trial) error {
	begun := time.Now()
	p, err := s.start(ctx, func(spec *strict.Spec) { spec.Env, spec.Scratch, spec.Limit = nil, false, s.limit(startLimit) })
	if err != nil {
		return err
	}
	defer p.Close()
	if _, err := p.Describe(ctx); err != nil {
		return err
	}
	s.started.took = time.Since(begun)
	pause(ctx, idlePause)
	usage, err := p.Usage()
	if err != nil {
		return alive(p, "it was started and left alone")
	}
	s.started.idle = usage.Resident
	t.note("described itself %v after its start; idle it takes %s of memory, %d threads, %d descriptors",
		s.started.took.Round(time.Millisecond), mib(usage.Resident), usage.Threads, usage.Files)
	return nil
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// The forms are those that the lock file of the runtime accepts.
var (
	namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	wordPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_:.-]{0,63}$`)
)

const mostSchema = 1 << 20

func (s *suite) describeValid(_ context.Context, t *trial) error {
	d := s.described
	if !namePattern.MatchString(d.GetName()) {
		return seen("a name of up to 64 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit", "%q", d.GetName())
	}
	if d.GetVersion() == "" {
		return seen("a version", "none")
	}
	var kinds []pluginv1.Kind
	for _, c := range d.GetComponents() {
		if _, known := pluginv1.Kind_name[int32(c.GetKind())]; !known || c.GetKind() == 0 {
			return seen("a source, transform, check or sink", "kind %d", c.GetKind())
		}
		if slices.Contains(kinds, c.GetKind()) {
			return seen("one component of a kind", "two of kind %s", kindName(c.GetKind()))
		}
		kinds = append(kinds, c.GetKind())
		for _, word := range slices.Concat(c.GetAbilities(), c.GetCapabilities()) {
			if !wordPattern.MatchString(word) {
				return seen("abilities and capabilities of one lower-case word", "%q of the %s", word, kindName(c.GetKind()))
			}
		}
		raw := bytes.TrimSpace(c.GetConfigSchema())
		if len(raw) > mostSchema || !bytes.HasPrefix(raw, []byte("{")) || !json.Valid(raw) {
			return seen("a JSON Schema of at most 1 MiB, which is an object", "%.80q for the %s", raw, kindName(c.GetKind()))
		}
	}
	if d.GetDescription() == "" {
		t.note("without a description, people see only a name where they decide whether to trust it")
	}
	return nil
}

func (s *suite) describeSame(ctx context.Context, _ *trial) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	for range 2 {
		again, err := p.Describe(ctx)
		if err != nil {
			return err
		}
		if !proto.Equal(again, s.described) {
			return seen(s.described.String(), "%s", again)
		}
	}
	return nil
}
