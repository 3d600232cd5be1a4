//go:build !minio

package zone_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
	"github.com/qanat-data/qanat/internal/pgtest"
)

func TestMain(m *testing.M) {
	crowd()
	goleak.VerifyTestMain(pgtest.Stopping(m), zonetest.Leaks()...)
}

// server gives settings on the server that the tests run on.
func server(t testing.TB, options ...zonetest.Option) zone.Settings {
	return zonetest.Settings(t, append(options, catalogOf(t)...)...)
}

func TestFilesOfTheGatewayLieOnThisMachine(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1, 2)
	if _, err := d.Fence(t.Context(), "f", 2); err != nil {
		t.Fatal(err)
	}
	files, err := d.Files(t.Context(), 0)
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, error %v", files, err)
	}
	f := files[0]
	info, err := os.Stat(f.Local)
	if err != nil || info.Size() != f.Bytes || f.Rows != 2 || !f.Exact {
		t.Errorf("file %+v, error %v", f, err)
	}
	path, err := z.Fetch(t.Context(), f, t.TempDir())
	if err != nil || path != f.Local {
		t.Errorf("fetched to %q, error %v", path, err)
	}
}
