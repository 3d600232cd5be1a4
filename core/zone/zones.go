package zone

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	sqlcat "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/zone/live"
	"github.com/qanat-data/qanat/core/zone/objects"
)

// SQL dialects of the state database.
const (
	SQLite   = string(sqlcat.SQLite)
	Postgres = string(sqlcat.Postgres)
)

const catalogName = "qanat"

// Settings say where objects and the catalog are.
type Settings struct {
	Objects objects.Settings
	// LandingRetention locks each data file and manifest of landing for this long,
	// where the server has object lock; zero locks nothing.
	LandingRetention time.Duration
	DB               *sql.DB // holds the catalog, unless REST is set; stays the caller's
	Dialect          string  // SQLite or Postgres
	REST             *REST   // a catalog of others instead
	Project          string  // whose datasets a catalog of others holds
	Logger           hclog.Logger
	Allocator        memory.Allocator // default: Go's
}

// Zones is the entry to all datasets of a project. It is safe for concurrent use.
type Zones struct {
	client  *objects.Client
	catalog catalog.Catalog
	rest    *REST // of the catalog, or nil
	project string
	logger  hclog.Logger
	alloc   memory.Allocator

	manifests *live.Cache // of datasets with a key

	mutex sync.Mutex
	locks map[Name]*sync.Mutex
}

// Open reaches the server and the catalog and makes the buckets that are missing.
func Open(ctx context.Context, s Settings) (*Zones, error) {
	if s.Logger == nil {
		s.Logger = hclog.NewNullLogger()
	}
	if s.Allocator == nil {
		s.Allocator = memory.DefaultAllocator
	}
	client, err := objects.NewClient(s.Objects)
	if err != nil {
		return nil, err
	}
	z := &Zones{client: client, rest: s.REST, project: s.Project, logger: s.Logger, alloc: s.Allocator, manifests: live.NewCache(), locks: map[Name]*sync.Mutex{}}
	if err := z.prepare(ctx, s); err != nil {
		client.Close()
		return nil, err
	}
	return z, nil
}

func (z *Zones) prepare(ctx context.Context, s Settings) error {
	landing := z.client.Bucket(Landing)
	if err := z.client.EnsureLockBucket(ctx, landing); err != nil {
		return err
	}
	buckets := []string{landing}
	for _, name := range All()[1:] {
		bucket := z.client.Bucket(name)
		if err := z.client.EnsureBucket(ctx, bucket); err != nil {
			return err
		}
		buckets = append(buckets, bucket)
	}
	locked, err := z.client.Locked(ctx, landing)
	if err != nil {
		return err
	}
	if s.LandingRetention > 0 {
		if !locked {
			return fmt.Errorf("landing retention is %s, but bucket %q has no object lock: it can only be given when a bucket is made",
				s.LandingRetention, landing)
		}
		z.client.Retain(landing, s.LandingRetention)
	}
	if z.catalog, err = openCatalog(ctx, s); err != nil {
		return err
	}
	return z.client.Attach(buckets...)
}

// Close ends connections to the server. The database stays open.
func (z *Zones) Close() error {
	z.client.Close()
	if closer, ok := z.catalog.(catalog.Closer); ok {
		return closer.Close()
	}
	return nil
}

// CreateOptions shape a new dataset.
type CreateOptions struct {
	// Key names the columns that tell rows apart, of any type but floating-point and nested ones. They become required. A dataset with
	// a key is kept in Iceberg's format 3 and takes Upsert; the key stays as it is.
	Key []string
	// SourceKey notes which columns the source says identify a row, for those who read the dataset; nothing is done about it here.
	SourceKey  []string
	Properties map[string]string // Iceberg table properties besides Qanat's own
}

// Create makes a dataset with the given user columns and the zone's system columns.
// The schema must be storable as it is (see Storable). It fails with ErrExists.
func (z *Zones) Create(ctx context.Context, n Name, schema *arrow.Schema, o CreateOptions) (*Dataset, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	kept, err := Storable(schema)
	if err != nil {
		return nil, fmt.Errorf("dataset %q: %w", n, err)
	}
	if notes := kept.Notes(); len(notes) > 0 {
		return nil, fmt.Errorf("dataset %q: %w", n, &SchemaError{Faults: notes})
	}
	user, faults := keyed(n.Zone, kept.Schema().Fields(), o.Key)
	if len(faults) > 0 {
		return nil, fmt.Errorf("dataset %q: %w", n, &SchemaError{Faults: faults})
	}
	fields := slices.Concat(user, systemFields(n.Zone))
	sc, err := table.ArrowSchemaToIcebergWithFreshIDs(arrow.NewSchema(fields, nil), false)
	if err != nil {
		return nil, fmt.Errorf("dataset %q: %w", n, err)
	}
	if err := z.makeNamespace(ctx, n); err != nil {
		return nil, fmt.Errorf("dataset %q: %w", n, err)
	}
	tbl, err := z.catalog.CreateTable(ctx, n.identifier(), identified(sc, o.Key),
		catalog.WithLocation(z.location(n)), catalog.WithProperties(z.owned(properties(fields, o))))
	if errors.Is(err, catalog.ErrTableAlreadyExists) {
		return nil, fmt.Errorf("dataset %q: %w", n, ErrExists)
	}
	if err != nil {
		return nil, fmt.Errorf("create dataset %q: %w", n, z.rest.blame(err))
	}
	if err := z.placed(ctx, n, tbl); err != nil {
		return nil, err
	}
	return newDataset(z, n, tbl)
}

// location has a random part, so that a dataset that is made again never meets
// files of its predecessor.
func (z *Zones) location(n Name) string {
	return fmt.Sprintf("s3://%s/%s/%s-%s", z.client.Bucket(n.Zone), n.Namespace, n.Dataset, uuid.NewString()[:8])
}

// properties bound metadata and make writing cheap. The lowest level of zstd is half
// as fast again as the default, and within a few percent of its size.
func properties(fields []arrow.Field, o CreateOptions) iceberg.Properties {
	p := iceberg.Properties{
		"format-version":                             "2",
		"write.parquet.compression-codec":            "zstd",
		"write.parquet.compression-level":            "1",
		"write.parquet.row-group-limit":              "131072", // what a point lookup reads, and what a wide row takes of memory while written
		"write.parquet.row-group-size-bytes":         "67108864",
		"write.target-file-size-bytes":               "268435456",
		"write.metadata.previous-versions-max":       "10",
		"write.metadata.delete-after-commit.enabled": "true",
		"write.metadata.compression-codec":           "zstd",
		"commit.retry.num-retries":                   "0",
	}
	maps.Copy(p, columnProperties(fields))
	maps.Copy(p, o.Properties)
	if len(o.SourceKey) > 0 {
		p[sourceKeyProperty] = strings.Join(o.SourceKey, "\n")
	}
	return keyProperties(p, o.Key)
}

func columnProperties(fields []arrow.Field) iceberg.Properties {
	p := iceberg.Properties{}
	for _, f := range fields {
		if isSystem(f.Name) {
			// Whole values, so that a file's bounds tell its unit exactly.
			p["write.metadata.metrics.column."+f.Name] = "full"
		}
		if isSystem(f.Name) || !wantsDictionary(f.Type) {
			p["write.parquet.dict-encoding-enabled.column."+f.Name] = "false"
		}
	}
	return p
}

// wantsDictionary tells whether looking each value up may pay for itself. Numbers
// and times rarely repeat, and the compressor makes nothing of constants anyway.
func wantsDictionary(t arrow.DataType) bool {
	return t.ID() == arrow.STRING || t.ID() == arrow.BINARY || arrow.IsNested(t.ID())
}

// Dataset opens a dataset. It fails with ErrNotFound.
func (z *Zones) Dataset(ctx context.Context, n Name) (*Dataset, error) {
	tbl, err := z.load(ctx, n)
	if err != nil {
		return nil, err
	}
	return newDataset(z, n, tbl)
}

func (z *Zones) load(ctx context.Context, n Name) (*table.Table, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	tbl, err := z.catalog.LoadTable(ctx, n.identifier())
	if errors.Is(err, catalog.ErrNoSuchTable) || errors.Is(err, catalog.ErrNoSuchNamespace) {
		return nil, fmt.Errorf("dataset %q: %w", n, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("load dataset %q: %w", n, z.rest.blame(err))
	}
	return tbl, z.ours(n, tbl)
}

// List names every dataset, in order.
func (z *Zones) List(ctx context.Context) ([]Name, error) {
	namespaces, err := z.namespaces(ctx)
	if err != nil {
		return nil, fmt.Errorf("list datasets: %w", err)
	}
	var names []Name
	for _, ns := range namespaces {
		for id, err := range z.catalog.ListTables(ctx, ns) {
			if err != nil {
				return nil, fmt.Errorf("list datasets: %w", z.rest.blame(err))
			}
			if len(id) == 3 && slices.Contains(All(), id[0]) {
				names = append(names, Name{id[0], id[1], id[2]})
			}
		}
	}
	slices.SortFunc(names, compareNames)
	return names, nil
}

func compareNames(a, b Name) int {
	za, zb := slices.Index(All(), a.Zone), slices.Index(All(), b.Zone)
	if za != zb {
		return za - zb
	}
	return slices.Compare([]string{a.Namespace, a.Dataset}, []string{b.Namespace, b.Dataset})
}

// lock serialises changes of one dataset within this process; the catalog makes
// losers among processes fail.
func (z *Zones) lock(n Name) func() {
	z.mutex.Lock()
	l, ok := z.locks[n]
	if !ok {
		l = &sync.Mutex{}
		z.locks[n] = l
	}
	z.mutex.Unlock()
	l.Lock()
	return l.Unlock
}

// arrowContext makes iceberg-go allocate from the given allocator.
func (z *Zones) arrowContext(ctx context.Context) context.Context {
	return compute.WithAllocator(ctx, z.alloc)
}
