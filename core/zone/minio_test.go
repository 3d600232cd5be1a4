//go:build minio

package zone_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
	"github.com/qanat-data/qanat/internal/pgtest"
)

// shared is the MinIO server of this run; each test has buckets of its own.
var shared *zonetest.MinIO

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "minio-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if shared, err = zonetest.StartMinIO(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer shared.Close()
	crowd()
	code := pgtest.Stopping(m).Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(zonetest.Leaks()...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// server gives settings on the server that the tests run on.
func server(t testing.TB, options ...zonetest.Option) zone.Settings {
	return shared.Settings(t, append(options, catalogOf(t)...)...)
}
