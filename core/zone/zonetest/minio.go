package zonetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/objects"
)

const minioStart = 60 * time.Second

// prefix keeps the buckets of tests apart when they share a server.
func prefix() string { return "t" + uuid.NewString()[:8] + "-" }

// MinIO is a running MinIO server.
type MinIO struct {
	Endpoint string
	command  *exec.Cmd
}

// minioBinary is $QANAT_MINIO, or .tools/minio of the repository.
func minioBinary() (string, error) {
	if bin := os.Getenv("QANAT_MINIO"); bin != "" {
		return bin, nil
	}
	_, here, _, _ := runtime.Caller(0)
	bin := filepath.Join(filepath.Dir(here), "..", "..", "..", ".tools", "minio")
	if _, err := os.Stat(bin); err != nil {
		return "", fmt.Errorf("no MinIO: set QANAT_MINIO, or put the server at .tools/minio: %w", err)
	}
	return bin, nil
}

// StartMinIO serves dir until Close. It fails without the binary.
func StartMinIO(ctx context.Context, dir string) (*MinIO, error) {
	bin, err := minioBinary()
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &MinIO{Endpoint: l.Addr().String()}
	if err := l.Close(); err != nil {
		return nil, err
	}
	m.command = exec.Command(bin, "server", "--quiet", "--address", m.Endpoint, dir) //nolint:gosec,noctx // Close ends it
	m.command.Env = append(os.Environ(), "MINIO_ROOT_USER="+accessKey, "MINIO_ROOT_PASSWORD="+secretKey, "MINIO_BROWSER=off")
	m.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.command.Start(); err != nil {
		return nil, fmt.Errorf("start %q: %w", bin, err)
	}
	if err := awaitMinIO(ctx, m.Endpoint); err != nil {
		m.Close()
		return nil, fmt.Errorf("MinIO at %s: %w", m.Endpoint, err)
	}
	return m, nil
}

// Close kills the server.
func (m *MinIO) Close() {
	_ = m.command.Process.Kill()
	_ = m.command.Wait()
}

// Settings are settings with buckets of the test's own on this server.
func (m *MinIO) Settings(t testing.TB, options ...Option) zone.Settings {
	t.Helper()
	return withCatalog(t, t.TempDir(), objects.Settings{
		Endpoint: m.Endpoint, AccessKey: accessKey, SecretKey: secretKey, BucketPrefix: prefix(),
	}, options)
}

func awaitMinIO(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, minioStart)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe(ctx, client, endpoint)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func probe(ctx context.Context, client *http.Client, endpoint string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+endpoint+"/minio/health/ready", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
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
