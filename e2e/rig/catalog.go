package rig

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// CatalogServer is an Iceberg REST catalog of the test's own, which keeps metadata on a MinIO server.
type CatalogServer struct {
	address       string
	token, secret string
}

var buildCatalog = sync.OnceValues(func() (string, error) {
	path := filepath.Join(bin(), "catalogd")
	if _, err := os.Stat(path); err == nil && os.Getenv(binVariable) != "" { // it was built with the rest
		return path, nil
	}
	cmd := exec.Command("go", "build", "-tags=duckdb_arrow", "-o", path, "./core/zone/zonetest/restcatalog/catalogd")
	cmd.Dir = Root()
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the catalog: %w\n%s", err, said)
	}
	return path, nil
})

// Catalog starts a catalog, and kills it when the test ends. Every so manieth commit it answers with an error, whether it has carried
// it out or not; with 0 it never does.
func Catalog(t testing.TB, objects *MinIOServer, lies int) *CatalogServer {
	t.Helper()
	binary, err := buildCatalog()
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	for range serverTries {
		c := &CatalogServer{address: freeAddress(t.Context(), t), token: rand.Text(), secret: rand.Text()}
		cmd := exec.Command(binary, "-listen", c.address, "-objects", objects.Endpoint, "-lies", strconv.Itoa(lies))
		cmd.Env = append(append(os.Environ(), objects.Env()...), "CATALOG_TOKEN="+c.token, "CATALOG_SECRET="+c.secret)
		s := startServer(t, cmd)
		if s.await(t.Context(), c.ready) {
			return c
		}
		said = s.said()
	}
	t.Fatalf("the catalog at %q did not start:\n%s", binary, said)
	return nil
}

func (c *CatalogServer) ready(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Env are the variables that Block refers to.
func (c *CatalogServer) Env() []string { return []string{"CATALOG_CREDENTIAL=qanat:" + c.secret} }

// Block is the catalog block of a project file that uses the server.
func (c *CatalogServer) Block() string {
	return fmt.Sprintf("catalog:\n  type: rest\n  uri: http://%s\n  warehouse: lake\n  credential: ${env:CATALOG_CREDENTIAL}\n", c.address)
}
