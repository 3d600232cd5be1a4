package main

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/sdk"
)

var streamName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Validate implements sdk.Validator. It lists every fault.
func (c Config) Validate() error {
	var faults []error
	switch {
	case len(c.Path) == 0 && len(c.Streams) == 0:
		faults = append(faults, sdk.ConfigError("/path", "is required, unless there are streams"))
	case len(c.Path) > 0 && len(c.Streams) > 0:
		faults = append(faults, sdk.ConfigError("/streams", "path and streams exclude each other"))
	case len(c.Streams) > 0 && c.Stream != "":
		faults = append(faults, sdk.ConfigError("/stream", "streams have names of their own"))
	case c.Stream != "" && !streamName.MatchString(c.Stream):
		faults = append(faults, sdk.ConfigError("/stream", nameRule, c.Stream))
	}
	faults = append(faults, c.validate("")...)
	taken := map[string]bool{}
	for i, s := range c.Streams {
		at := fmt.Sprintf("/streams/%d", i)
		if !streamName.MatchString(s.Name) {
			faults = append(faults, sdk.ConfigError(at+"/name", nameRule, s.Name))
		}
		if taken[s.Name] {
			faults = append(faults, sdk.ConfigError(at+"/name", "two streams have the name %q", s.Name))
		}
		if len(s.Path) == 0 {
			faults = append(faults, sdk.ConfigError(at+"/path", "is required"))
		}
		taken[s.Name] = true
		faults = append(faults, s.validate(at)...)
	}
	return errors.Join(faults...)
}

const nameRule = "%q is no name for a stream: expected lower-case letters, digits and _, a letter first"

func (f Files) validate(at string) []error {
	var faults []error
	for _, p := range f.Path {
		faults = append(faults, checkPath(at, p)...)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Columns)) {
		if _, err := column.Parse(name, f.Columns[name]); err != nil {
			faults = append(faults, sdk.ConfigError(at+"/columns/"+name, "%v", err))
		}
	}
	for _, one := range []struct{ name, value string }{
		{"delimiter", f.CSV.Delimiter}, {"comment", f.CSV.Comment}, {"quote", strings.TrimPrefix(f.CSV.Quote, "none")},
	} {
		if len(one.value) > 1 || strings.ContainsAny(one.value, "\r\n") || (one.value != "" && one.value[0] > '~') {
			faults = append(faults, sdk.ConfigError(at+"/csv/"+one.name, "%q: expected one ASCII character", one.value))
		}
	}
	if d := f.CSV.delimiter(f.Format); d == f.CSV.quote() || d == f.CSV.comment() {
		faults = append(faults, sdk.ConfigError(at+"/csv/delimiter", "%q is also the quote or the comment", d))
	}
	taken := map[string]bool{}
	for i, name := range f.CSV.Names {
		if name == "" || taken[strings.ToLower(name)] {
			faults = append(faults, sdk.ConfigError(fmt.Sprintf("%s/csv/names/%d", at, i), "%q is empty or occurs twice", name))
		}
		taken[strings.ToLower(name)] = true
	}
	return faults
}

func checkPath(at, p string) []error {
	var faults []error
	bucket, key := store.Split(p)
	switch {
	case p == "":
		faults = append(faults, sdk.ConfigError(at+"/path", "a path is empty"))
	case strings.HasPrefix(p, store.Scheme) && (bucket == "" || key == "" || store.IsPattern(bucket)):
		faults = append(faults, sdk.ConfigError(at+"/path", "%q: expected s3://bucket/key, with wildcards in the key only", p))
	case strings.Contains(p, "://") && !strings.HasPrefix(p, store.Scheme):
		faults = append(faults, sdk.ConfigError(at+"/path", "%q: expected a local path or s3://bucket/key", p))
	case !doublestar.ValidatePattern(p):
		faults = append(faults, sdk.ConfigError(at+"/path", "%q is no pattern: a bracket or brace is not closed", p))
	}
	return faults
}

// nameOf makes a stream's name of a path: of the file's name, or of the last folder that has no wildcard.
func nameOf(p string) string {
	p = strings.TrimPrefix(p, store.Scheme)
	if store.IsPattern(p) {
		p = store.Base(p)
	}
	base, _, _ := strings.Cut(strings.TrimPrefix(path.Base(p), "."), ".")
	var name strings.Builder
	for _, c := range strings.ToLower(base) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			c = '_'
		}
		name.WriteRune(c)
	}
	out := strings.Trim(name.String(), "_")
	switch {
	case out == "":
		return "files"
	case out[0] >= '0' && out[0] <= '9':
		return "f_" + out
	}
	return out
}
