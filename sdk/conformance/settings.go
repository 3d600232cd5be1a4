package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/sample"
)

// Settings say what to check and with what. Only Binary is always needed.
type Settings struct {
	Binary string          // path of the plugin's executable
	Config json.RawMessage // settings that the plugin works with; {} if empty
	Kind   string          // source, transform, check or sink; may be empty if the plugin serves one kind
	Dir    string          // working directory of the plugin; the current one if empty
	Env    []string        // NAME=value: all that the plugin sees of the environment

	Streams []string       // of a source: the streams to read; all if empty
	Inputs  []sample.Input // of the other kinds: their data; common columns if empty
	Mode    sdk.WriteMode  // of a sink; append if empty
	Key     []string       // of a sink's batches
	// Probe is a shell command that prints a digest of what the plugin has changed outside: a sink's content, a source's
	// confirmed position. Without it, checks that have to look are skipped.
	Probe string
	// PassThrough says that a transform's settings leave every value as it is, so that what comes out is compared with what went in
	// beyond the columns whose lineage says so.
	PassThrough bool

	Run  *regexp.Regexp // names of the checks to run, with those that they stand on; all if nil
	Slow bool           // take more samples and wait longer

	Patience     float64 // factor on all limits of time, for slow machines; 1 if 0
	MemoryGrowth int64   // bytes that a process may grow by where nothing should pile up; 64 MiB if 0
	MaxRows      int64   // a source is stopped after so many rows, so that endless ones can be checked; 200,000 if 0
	Seed         uint64  // of made-up data

	Progress func(Result) // if set, is told each result
}

// UsageError says that settings of the suite itself are wrong.
type UsageError struct{ Err error }

// Error implements error.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *UsageError) Unwrap() error { return e.Err }

func misuse(format string, args ...any) error { return &UsageError{Err: fmt.Errorf(format, args...)} }

// The kinds, as operators write them.
const (
	kindSource    = "source"
	kindTransform = "transform"
	kindCheck     = "check"
	kindSink      = "sink"
)

const (
	standardMemory = 64 << 20
	standardRows   = 200_000
	answerLimit    = 30 * time.Second
)

// complete checks the settings and fills in what is standard.
func (s Settings) complete() (Settings, error) {
	if s.Binary == "" {
		return s, misuse("no binary, expected the path of a plugin's executable")
	}
	var err error
	if s.Binary, err = filepath.Abs(s.Binary); err != nil {
		return s, &UsageError{Err: err}
	}
	if len(s.Config) == 0 {
		s.Config = json.RawMessage("{}")
	}
	var object map[string]any
	if err := json.Unmarshal(s.Config, &object); err != nil {
		return s, misuse("the plugin's settings are no JSON object: %w", err)
	}
	if s.Kind != "" && !slices.Contains(kindNames(), s.Kind) {
		return s, misuse("kind %q, allowed are %v", s.Kind, kindNames())
	}
	if s.Mode == "" {
		s.Mode = sdk.Append
	}
	if !slices.Contains([]sdk.WriteMode{sdk.Append, sdk.Overwrite, sdk.Upsert}, s.Mode) {
		return s, misuse("write mode %q, allowed are append, overwrite, upsert", s.Mode)
	}
	if s.Patience <= 0 {
		s.Patience = 1
	}
	if s.MemoryGrowth <= 0 {
		s.MemoryGrowth = standardMemory
	}
	if s.MaxRows <= 0 {
		s.MaxRows = standardRows
	}
	if len(s.Inputs) == 0 {
		s.Inputs = []sample.Input{sample.Common("input")}
	}
	return s, s.checkInputs()
}

func (s Settings) checkInputs() error {
	var faults []error
	for _, in := range s.Inputs {
		if in.Name == "" || len(in.Columns) == 0 {
			faults = append(faults, misuse("input %q: expected a name and columns", in.Name))
		}
		for _, key := range s.Key {
			if !slices.ContainsFunc(in.Columns, func(c sample.Column) bool { return c.Name == key }) {
				faults = append(faults, misuse("input %q has no key column %q", in.Name, key))
			}
		}
	}
	return errors.Join(faults...)
}

func kindNames() []string { return []string{kindSource, kindTransform, kindCheck, kindSink} }
