package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"

	"github.com/qanat-data/qanat/sdk"
)

// server is an S3 server in this process. Only one can run in it, and it changes the working directory.
type server struct {
	endpoint string
	client   *minio.Client
}

func startServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chdir(dir); err != nil { //nolint:usetesting // the server's constructor has changed it
			t.Error(err)
		}
	})
	root := t.TempDir()
	be, err := posix.New(root, meta.XattrMeta{}, posix.PosixOpts{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{endpoint: listener.Addr().String()}
	_ = listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- embedgw.RunVersityGW(ctx, be, &embedgw.Config{
			RootUserAccess: "access", RootUserSecret: "secret", Ports: []string{s.endpoint}, Quiet: true, KeepAlive: true,
			MaxConnections: 100, MaxRequests: 100, MultipartMaxParts: 10000,
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	transport, err := minio.DefaultTransport(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	s.client, err = minio.New(s.endpoint, &minio.Options{Creds: credentials.NewStaticV4("access", "secret", ""), Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	for s.client.MakeBucket(t.Context(), "bucket", minio.MakeBucketOptions{}) != nil {
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return s
}

func (s *server) put(t *testing.T, key string, content []byte) {
	t.Helper()
	_, err := s.client.PutObject(t.Context(), "bucket", key, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *server) settings(path, more string) string {
	return fmt.Sprintf(`{"path": %q, "s3": {"endpoint": %q, "access_key": "access", "secret_key": "secret", "secure": false,
		"region": "us-east-1"}%s}`, path, s.endpoint, more)
}

func TestS3(t *testing.T) { //nolint:paralleltest // the server changes the working directory
	s := startServer(t)
	record := people(400)
	defer record.Release()
	want := recordLines(t, record)
	for name, content := range formats(t, 400) {
		s.put(t, "formats/"+name, content)
		t.Run(name, func(t *testing.T) {
			source := newSource(t, s.settings("s3://bucket/formats/"+name, `, "batch_rows": 50, "checkpoint_rows": 100, "stream": "s"`))
			rec := read(t, source, nil)
			if diff := cmp.Diff(want, lines(t, rec, "s")); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if got := rec.Batches[0].Origin; got != "s3://bucket/formats/"+name {
				t.Errorf("origin %q", got)
			}
			checkEveryCut(t, source, "s", 4)
		})
	}
	t.Run("pattern", func(t *testing.T) { testS3Pattern(t, s) })
	t.Run("changed", func(t *testing.T) { testS3Changed(t, s) })
	t.Run("replaced", func(t *testing.T) { testS3Replaced(t, s) })
	t.Run("faults", func(t *testing.T) { testS3Faults(t, s) })
}

func testS3Pattern(t *testing.T, s *server) {
	for _, key := range []string{"in/1.csv", "in/x/2.csv", "in/x/y/3.csv", "in/.hidden.csv", "in/4.json", "other/5.csv"} {
		s.put(t, key, []byte("a\n1\n"))
	}
	source := newSource(t, s.settings("s3://bucket/in/**/*.csv", `, "stream": "s"`))
	if rec := read(t, source, nil); rec.Rows("s") != 3 {
		t.Errorf("%d rows, want 3", rec.Rows("s"))
	}
	streams, err := source.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := streams[0].External, (sdk.ExternalDataset{Namespace: "s3://bucket", Name: "in"}); got != want {
		t.Errorf("external %v, want %v", got, want)
	}
}

func testS3Changed(t *testing.T, s *server) {
	s.put(t, "changed.csv", []byte("a\n1\n"))
	source := newSource(t, s.settings("s3://bucket/changed.csv", ``))
	first := read(t, source, nil)
	s.put(t, "changed.csv", []byte("a\n1\n2\n"))
	_, err := tryRead(t, source, sdk.ReadRequest{Position: lastPosition(t, first)})
	if sdk.KindOf(err) != sdk.KindConfig || !strings.Contains(err.Error(), "only local") {
		t.Errorf("error %v, want a config error", err)
	}
	again := newSource(t, s.settings("s3://bucket/changed.csv", `, "changed": "reread"`))
	if second := read(t, again, lastPosition(t, first)); second.Rows("changed") != 2 {
		t.Errorf("%d rows, want 2", second.Rows("changed"))
	}
}

// testS3Replaced replaces an object between its listing and its reading.
func testS3Replaced(t *testing.T, s *server) {
	s.put(t, "replaced.csv", []byte("a\n1\n"))
	source := newSource(t, s.settings("s3://bucket/replaced.csv", ``))
	files, err := source.stores.s3.List(t.Context(), "s3://bucket/replaced.csv")
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, "replaced.csv", []byte("a\n2\n"))
	if _, err := files[0].Open(t.Context(), 0); sdk.KindOf(err) != sdk.KindRetryable {
		t.Errorf("error %v, want a retryable one", err)
	}
}

func testS3Faults(t *testing.T, s *server) {
	for path, kind := range map[string]sdk.ErrorKind{
		"s3://bucket/none.csv": sdk.KindConfig, "s3://bucket/none*.csv": sdk.KindConfig, "s3://no-such-bucket/*.csv": sdk.KindConfig,
	} {
		if _, err := tryRead(t, newSource(t, s.settings(path, ``)), sdk.ReadRequest{}); err == nil || sdk.KindOf(err) != kind {
			t.Errorf("%s: error %v", path, err)
		}
	}
	wrong := strings.Replace(s.settings("s3://bucket/*.csv", ``), `"secret"`, `"other"`, 1)
	_, err := tryRead(t, newSource(t, wrong), sdk.ReadRequest{})
	if sdk.KindOf(err) != sdk.KindConfig || strings.Contains(err.Error(), "other") {
		t.Errorf("wrong secret: error %v", err)
	}
}

func TestS3ThatDoesNotAnswerIsRetryable(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := listener.Addr().String()
	_ = listener.Close()
	s := &server{endpoint: endpoint}
	_, err = newSource(t, s.settings("s3://bucket/a.csv", ``)).Streams(t.Context())
	if sdk.KindOf(err) != sdk.KindRetryable {
		t.Errorf("error %v, want a retryable one", err)
	}
}
