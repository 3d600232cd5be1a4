// Package zonetest gives tests of other rooms real zones: the embedded S3 gateway
// and an SQLite catalog in the test's own folder, or a MinIO server. Production code
// uses package zone.
package zonetest

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	_ "modernc.org/sqlite" // the driver of the state database

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/gateway"
	"github.com/qanat-data/qanat/core/zone/objects"
)

const (
	accessKey = "zonetest"
	secretKey = "zonetest-secret"
)

// DSN opens an SQLite file the way Qanat does: several processes may write, and a
// commit is on disk when it returns.
func DSN(path string) string {
	return "file:" + path + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"
}

// Option changes the settings of New.
type Option func(*zone.Settings)

// WithAllocator makes all Arrow memory come from alloc.
func WithAllocator(alloc memory.Allocator) Option {
	return func(s *zone.Settings) { s.Allocator = alloc }
}

// New opens zones that end with the test. They share nothing with other tests.
func New(t testing.TB, options ...Option) *zone.Zones {
	t.Helper()
	return Open(t, Settings(t, options...))
}

// Open opens zones on given settings, as a second process would, until the test ends.
func Open(t testing.TB, s zone.Settings) *zone.Zones {
	t.Helper()
	z, err := zone.Open(t.Context(), s)
	if err != nil {
		t.Fatalf("open zones: %v", err)
	}
	t.Cleanup(func() {
		if err := z.Close(); err != nil {
			t.Errorf("close zones: %v", err)
		}
	})
	return z
}

// Settings starts a gateway and a catalog for the test.
func Settings(t testing.TB, options ...Option) zone.Settings {
	t.Helper()
	dir := t.TempDir()
	g, err := gateway.Start(t.Context(), gateway.Settings{Dir: dir, AccessKey: accessKey, SecretKey: secretKey})
	if err != nil {
		t.Fatalf("start gateway: %v", err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("stop gateway: %v", err)
		}
	})
	return withCatalog(t, dir, objects.Settings{
		Endpoint: g.Endpoint(), AccessKey: accessKey, SecretKey: secretKey,
		BucketPrefix: prefix(), LocalRoot: g.Root(),
	}, options)
}

func withCatalog(t testing.TB, dir string, o objects.Settings, options []Option) zone.Settings {
	t.Helper()
	db, err := sql.Open("sqlite", DSN(filepath.Join(dir, "state.db")))
	if err != nil {
		t.Fatalf("open catalog: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close catalog: %v", err)
		}
	})
	s := zone.Settings{Objects: o, DB: db, Dialect: zone.SQLite}
	for _, apply := range options {
		apply(&s)
	}
	return s
}
