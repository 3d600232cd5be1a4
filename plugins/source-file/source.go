package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/sdk"
)

// Source implements sdk.Source and sdk.Tester.
type Source struct {
	config Config
	env    sdk.Env
	stores stores
}

// stores are where files may lie.
type stores struct {
	local store.Local
	s3    *store.S3 // nil if no path needs it
}

func (s stores) of(path string) store.Store {
	if strings.HasPrefix(path, store.Scheme) {
		return s.s3
	}
	return s.local
}

// New makes a source. It touches no file and no server.
func New(_ context.Context, c Config, env sdk.Env) (*Source, error) {
	source := &Source{config: c, env: env}
	all, err := streamsOf(c)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		for _, p := range s.files.Path {
			if !strings.HasPrefix(p, store.Scheme) || source.stores.s3 != nil {
				continue
			}
			if source.stores.s3, err = openS3(c.S3); err != nil {
				return nil, sdk.ConfigError("/s3/endpoint", "%v", err)
			}
		}
	}
	return source, nil
}

func openS3(c S3) (*store.S3, error) {
	return store.NewS3(store.S3Settings{
		Endpoint: or(c.Endpoint, "s3.amazonaws.com"), Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey.Reveal(),
		SessionToken: c.SessionToken.Reveal(), Plain: c.Secure != nil && !*c.Secure,
	})
}

// opening is for one stream.
func (s *Source) opening(st *stream, read *atomic.Int64) opening {
	return opening{
		files: st.files, declared: st.declared, batchRows: or(s.config.BatchRows, 8192), alloc: s.env.Alloc, read: read,
	}
}

// Streams implements sdk.Source. It reads the beginnings of at most four files of a stream.
func (s *Source) Streams(ctx context.Context) ([]sdk.Stream, error) {
	all, err := streamsOf(s.config)
	if err != nil {
		return nil, err
	}
	var out []sdk.Stream
	for _, st := range all {
		described, err := s.describe(ctx, st)
		if err != nil {
			return nil, err
		}
		out = append(out, described)
	}
	return out, nil
}

func (s *Source) describe(ctx context.Context, st *stream) (sdk.Stream, error) {
	out := sdk.Stream{
		Name: st.name, Description: "Files " + st.files.Path.String(), Key: st.files.Key, External: st.external(),
	}
	files, err := s.list(ctx, st)
	if err != nil {
		return out, err
	}
	var read atomic.Int64
	fields, rows, err := st.discover(ctx, s.opening(st, &read), files)
	if err != nil {
		return out, err
	}
	out.EstimatedRows = rows
	if len(fields) > 0 {
		out.Schema = arrow.NewSchema(fields, nil)
		return out, st.checkKey(out.Schema)
	}
	return out, nil
}

// list finds a stream's files. A path without any is an error unless the settings allow it.
func (s *Source) list(ctx context.Context, st *stream) ([]store.File, error) {
	files, err := st.list(ctx, s.stores)
	if err != nil && s.config.AllowEmpty && onlyMissing(err) {
		err = nil
	}
	return files, err
}

// missingError says that nothing is wrong but that paths match no file.
type missingError struct{ error }

// Unwrap gives the paths' faults.
func (e missingError) Unwrap() error { return e.error }

func onlyMissing(err error) bool {
	_, missing := errors.AsType[missingError](err)
	return missing
}

// Test implements sdk.Tester.
func (s *Source) Test(ctx context.Context) (string, error) {
	all, err := streamsOf(s.config)
	if err != nil {
		return "", err
	}
	var lines []string
	for _, st := range all {
		files, err := s.list(ctx, st)
		if err != nil {
			return "", err
		}
		var read atomic.Int64
		fields, _, err := st.discover(ctx, s.opening(st, &read), files)
		if err != nil {
			return "", err
		}
		var size int64
		for _, f := range files {
			size += f.Size
		}
		lines = append(lines, fmt.Sprintf("stream %s: %d files, %d bytes, %s", st.name, len(files), size, summary(fields)))
	}
	return strings.Join(lines, "; "), nil
}

func summary(fields []arrow.Field) string {
	var columns []string
	for _, f := range fields {
		columns = append(columns, f.Name+" "+column.Text(f))
	}
	if len(columns) == 0 {
		return "no columns"
	}
	return strings.Join(columns, ", ")
}

// Close implements sdk.Source.
func (s *Source) Close(context.Context) error { //nolint:unparam // the signature is sdk.Source's
	if s.stores.s3 != nil {
		s.stores.s3.Close()
	}
	return nil
}

// Read implements sdk.Source.
func (s *Source) Read(ctx context.Context, req sdk.ReadRequest, out sdk.Emitter) error {
	r, err := s.newRun(req, out)
	if err != nil {
		return err
	}
	return r.all(ctx)
}

// selected are the streams that a request asks for.
func (s *Source) selected(names []string) ([]*stream, error) {
	all, err := streamsOf(s.config)
	if err != nil || len(names) == 0 {
		return all, err
	}
	var out []*stream
	var faults []error
	for _, name := range names {
		found := false
		for _, st := range all {
			if st.name == name {
				out = append(out, st)
				found = true
			}
		}
		if !found {
			faults = append(faults, sdk.Fatal(fmt.Errorf("there is no stream %q", name)))
		}
	}
	return out, errors.Join(faults...)
}
