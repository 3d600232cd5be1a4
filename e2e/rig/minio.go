package rig

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// MinIOServer is a running MinIO server of the test's own.
type MinIOServer struct {
	Endpoint             string // host:port, without TLS
	AccessKey, SecretKey string
}

// MinIO starts the server at QANAT_MINIO, or .tools/minio, on loopback with random credentials and a data folder of its own, and
// kills it when the test ends. A missing binary fails the test.
func MinIO(t testing.TB) *MinIOServer {
	t.Helper()
	binary := tool(t, "QANAT_MINIO", "minio")
	said := ""
	for range serverTries {
		m := &MinIOServer{Endpoint: freeAddress(t.Context(), t), AccessKey: "access-" + rand.Text()[:8], SecretKey: rand.Text()}
		cmd := exec.Command(binary, "server", "--quiet", "--address", m.Endpoint, t.TempDir())
		cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+m.AccessKey, "MINIO_ROOT_PASSWORD="+m.SecretKey, "MINIO_BROWSER=off")
		s := startServer(t, cmd)
		if s.await(t.Context(), m.ready) {
			return m
		}
		said = s.said()
	}
	t.Fatalf("MinIO at %q did not start:\n%s", binary, said)
	return nil
}

func (m *MinIOServer) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.Endpoint+"/minio/health/ready", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	return nil
}

// Client talks to the server past Qanat.
func (m *MinIOServer) Client(t testing.TB) *minio.Client {
	t.Helper()
	c, err := minio.New(m.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(m.AccessKey, m.SecretKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Env are the variables that ProjectFile refers to.
func (m *MinIOServer) Env() []string {
	return []string{"S3_ACCESS_KEY=" + m.AccessKey, "S3_SECRET_KEY=" + m.SecretKey}
}

// Objects is the objects block of a project file that uses the server.
func (m *MinIOServer) Objects() string { return m.ObjectsAt(m.Endpoint) }

// ObjectsAt is the same by another way to the server.
func (m *MinIOServer) ObjectsAt(endpoint string) string {
	return fmt.Sprintf("objects:\n  endpoint: %s\n  access_key: ${env:S3_ACCESS_KEY}\n  secret_key: ${env:S3_SECRET_KEY}\n  secure: false\n", endpoint)
}
