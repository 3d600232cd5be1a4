package gateway_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/core/zone/gateway"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

func start(t *testing.T, dir string) *gateway.Gateway {
	t.Helper()
	g, err := gateway.Start(t.Context(), gateway.Settings{Dir: dir, AccessKey: "key", SecretKey: "secret-secret"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func connect(t *testing.T, g *gateway.Gateway, secret string) *minio.Core {
	t.Helper()
	transport, err := minio.DefaultTransport(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := minio.NewCore(g.Endpoint(), &minio.Options{
		Creds: credentials.NewStaticV4("key", secret, ""), Transport: transport, Region: gateway.Region, MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t *testing.T, c *minio.Core, bucket, key, data string) minio.UploadInfo {
	t.Helper()
	u, err := c.PutObject(t.Context(), bucket, key, bytes.NewReader([]byte(data)), int64(len(data)), "", "", minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func get(t *testing.T, c *minio.Core, bucket, key string) string {
	t.Helper()
	body, _, _, err := c.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestObjectsLieBelowRootAndOutliveTheGateway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := start(t, dir)
	c := connect(t, g, "secret-secret")
	if err := c.MakeBucket(t.Context(), "landing", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "landing", "a/b/c.txt", "hello")
	data, err := os.ReadFile(filepath.Join(g.Root(), "landing", "a", "b", "c.txt"))
	if err != nil || string(data) != "hello" {
		t.Errorf("on disk: %q, %v", data, err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, dir)
	defer again.Close()
	if got := get(t, connect(t, again, "secret-secret"), "landing", "a/b/c.txt"); got != "hello" {
		t.Errorf("after a restart: %q", got)
	}
}

func TestGatewaysOfOneProcessAreApart(t *testing.T) {
	t.Parallel()
	var clients [2]*minio.Core
	for i := range clients {
		g := start(t, t.TempDir())
		defer g.Close()
		clients[i] = connect(t, g, "secret-secret")
		if err := clients[i].MakeBucket(t.Context(), "same", minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
		put(t, clients[i], "same", "x", string(rune('0'+i)))
	}
	for i, c := range clients {
		if got := get(t, c, "same", "x"); got != string(rune('0'+i)) {
			t.Errorf("gateway %d gave %q", i, got)
		}
	}
}

func TestStartLeavesTheWorkingDirectory(t *testing.T) {
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	g := start(t, t.TempDir())
	defer g.Close()
	after, err := os.Getwd()
	if err != nil || before != after || os.Stdout != stdout {
		t.Errorf("working directory %q became %q, %v", before, after, err)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]gateway.Settings{
		"no keys": {Dir: t.TempDir()}, "a file": {Dir: blocked, AccessKey: "k", SecretKey: "s"},
	} {
		if g, err := gateway.Start(t.Context(), s); err == nil {
			t.Errorf("%s: started", name)
			g.Close()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if g, err := gateway.Start(ctx, gateway.Settings{Dir: t.TempDir(), AccessKey: "k", SecretKey: "s"}); err == nil {
		t.Error("started under a cancelled context")
		g.Close()
	}
}

func TestWrongSecretIsRefused(t *testing.T) {
	t.Parallel()
	g := start(t, t.TempDir())
	defer g.Close()
	if err := connect(t, g, "another-secret").MakeBucket(t.Context(), "landing", minio.MakeBucketOptions{}); err == nil {
		t.Error("a wrong secret made a bucket")
	}
}

func TestLockedVersionStays(t *testing.T) {
	t.Parallel()
	g := start(t, t.TempDir())
	defer g.Close()
	c := connect(t, g, "secret-secret")
	if err := c.MakeBucket(t.Context(), "landing", minio.MakeBucketOptions{ObjectLocking: true}); err != nil {
		t.Fatal(err)
	}
	u, err := c.PutObject(t.Context(), "landing", "d/x", bytes.NewReader([]byte("one")), 3, "", "", minio.PutObjectOptions{
		Mode: minio.Governance, RetainUntilDate: time.Now().Add(time.Hour).UTC(), SendContentMd5: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveObject(t.Context(), "landing", "d/x", minio.RemoveObjectOptions{VersionID: u.VersionID}); err == nil {
		t.Error("a locked version was deleted")
	}
	free := put(t, c, "landing", "d/y", "two")
	if err := c.RemoveObject(t.Context(), "landing", "d/y", minio.RemoveObjectOptions{VersionID: free.VersionID}); err != nil {
		t.Error(err)
	}
	if got := get(t, c, "landing", "d/x"); got != "one" {
		t.Errorf("locked object is %q", got)
	}
}

func TestBucketsAndObjectsAreListed(t *testing.T) {
	t.Parallel()
	g := start(t, t.TempDir())
	defer g.Close()
	c := connect(t, g, "secret-secret")
	for _, b := range []string{"bbb", "aaa"} {
		if err := c.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	buckets, err := c.ListBuckets(t.Context())
	if err != nil || len(buckets) != 2 || buckets[0].Name != "aaa" {
		t.Errorf("buckets %v, %v", buckets, err)
	}
	for _, k := range []string{"x/1", "x/2", "y/1"} {
		put(t, c, "aaa", k, k)
	}
	var keys []string
	for o := range c.Client.ListObjects(t.Context(), "aaa", minio.ListObjectsOptions{Prefix: "x/", Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		keys = append(keys, o.Key)
	}
	if diff := cmp.Diff([]string{"x/1", "x/2"}, keys); diff != "" {
		t.Error(diff)
	}
	if err := c.RemoveBucket(t.Context(), "bbb"); err != nil {
		t.Error(err)
	}
}
