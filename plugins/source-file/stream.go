package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/sdk"
)

// stream is the files of one stream and the columns that they have been found to have.
type stream struct {
	name     string
	at       string // JSON pointer to its settings
	files    Files
	declared column.Declared

	// Under the run's gate:
	schema  *arrow.Schema
	version int

	read  atomic.Int64 // bytes
	rows  atomic.Int64
	total int64 // bytes of the files that this pass reads
}

// streamsOf are the streams of the settings.
func streamsOf(c Config) ([]*stream, error) {
	if len(c.Streams) == 0 {
		s, err := newStream(or(c.Stream, nameOf(c.Path[0])), "", c.Files)
		return []*stream{s}, err
	}
	var all []*stream
	for i, named := range c.Streams {
		s, err := newStream(named.Name, fmt.Sprintf("/streams/%d", i), named.Files)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func newStream(name, at string, files Files) (*stream, error) {
	s := &stream{name: name, at: at, files: files, declared: column.Declared{}}
	for name, text := range files.Columns {
		f, err := column.Parse(name, text)
		if err != nil {
			return nil, sdk.ConfigError(at+"/columns/"+name, "%v", err)
		}
		s.declared[name] = f
	}
	return s, nil
}

func (s *stream) rules() column.Rules {
	return column.Rules{Declared: s.declared, Widen: s.files.Infer.Widen}
}

// withDeclared gives fields their declared types, and adds the declared columns that no file has been found to have.
func (s *stream) withDeclared(fields []arrow.Field) []arrow.Field {
	fields = s.declared.Apply(fields)
	for _, name := range slices.Sorted(maps.Keys(s.declared)) {
		if !slices.ContainsFunc(fields, func(f arrow.Field) bool { return f.Name == name }) {
			fields = append(fields, s.declared[name])
		}
	}
	return fields
}

// list finds the stream's files. With a missingError come the files of the other paths.
func (s *stream) list(ctx context.Context, stores stores) ([]store.File, error) {
	var all []store.File
	seen := map[string]bool{}
	var missing error
	for _, p := range s.files.Path {
		files, err := stores.of(p).List(ctx, p)
		if errors.Is(err, store.ErrNotFound) {
			missing = errors.Join(missing, sdk.ConfigError(s.at+"/path", "%v", err))
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if !seen[f.Path] {
				seen[f.Path] = true
				all = append(all, f)
			}
		}
	}
	if missing != nil {
		missing = missingError{missing}
	}
	return all, missing
}

// external names the stream's files for lineage: the file, or the folder that holds all of them.
func (s *stream) external() sdk.ExternalDataset {
	base := store.Base(s.files.Path[0])
	for _, p := range s.files.Path[1:] {
		base = commonFolder(base, store.Base(p))
	}
	if strings.HasPrefix(base, store.Scheme) {
		bucket, key := store.Split(base)
		return sdk.ExternalDataset{Namespace: store.Scheme + bucket, Name: or(strings.TrimSuffix(key, "/"), "/")}
	}
	if absolute, err := filepath.Abs(base); err == nil {
		base = absolute
	}
	return sdk.ExternalDataset{Namespace: "file", Name: base}
}

// commonFolder is the longest path that both lie under.
func commonFolder(a, b string) string {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	n := 0
	for n < min(len(as), len(bs)) && as[n] == bs[n] {
		n++
	}
	return or(strings.Join(as[:n], "/"), ".")
}

// sampled are the files whose columns make the first schema: the first, the last and two between.
func sampled(files []store.File) []store.File {
	const most = 4
	if len(files) <= most {
		return files
	}
	out := make([]store.File, 0, most)
	for i := range most {
		out = append(out, files[i*(len(files)-1)/(most-1)])
	}
	return out
}

// discover finds the columns of files without reading all of them, and about how many rows there are; 0 if unknown.
func (s *stream) discover(ctx context.Context, o opening, files []store.File) ([]arrow.Field, int64, error) {
	rules := s.rules()
	rules.Free = true
	var fields []arrow.Field
	var rows, size, total int64
	for _, f := range files {
		total += f.Size
	}
	for _, f := range sampled(files) {
		reader, err := o.open(ctx, f, block.Mark{})
		if _, fault := block.AsFault(err); fault {
			continue // the read will reject it
		}
		if err != nil {
			return nil, 0, openError(f, err)
		}
		if merged, _ := rules.Union(fields, reader.Fields()); column.Check(merged) == nil {
			fields = merged // else the read will reject the file
		}
		if counted, ok := reader.(interface{ NumRows() int64 }); ok {
			rows += counted.NumRows()
			size += f.Size
		}
		if err := reader.Close(); err != nil {
			return nil, 0, err
		}
	}
	if size > 0 {
		rows = int64(float64(rows) * float64(total) / float64(size))
	}
	return s.withDeclared(column.Settle(fields)), rows, nil
}

// openError says that a file went away between its listing and its opening.
func openError(f store.File, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return sdk.Retryable(fmt.Errorf("%q went away while the files were read: %w", f.Path, err), 0)
	}
	return err
}

func (s *stream) checkKey(schema *arrow.Schema) error {
	for i, name := range s.files.Key {
		if len(schema.FieldIndices(name)) == 0 {
			return sdk.ConfigError(fmt.Sprintf("%s/key/%d", s.at, i), "the files of stream %q have no column %q, they have %s",
				s.name, name, columnNames(schema))
		}
	}
	return nil
}

func columnNames(schema *arrow.Schema) string {
	var names []string
	for _, f := range schema.Fields() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}
