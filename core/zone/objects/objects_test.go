package objects_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/core/zone/gateway"
	"github.com/qanat-data/qanat/core/zone/objects"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// store is a client with one attached bucket, and the bucket's location.
func store(t *testing.T) (*objects.Client, string) {
	t.Helper()
	g, err := gateway.Start(t.Context(), gateway.Settings{Dir: t.TempDir(), AccessKey: "key", SecretKey: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := objects.NewClient(objects.Settings{
		Endpoint: g.Endpoint(), AccessKey: "key", SecretKey: "secret", BucketPrefix: "t" + uuid.NewString()[:8] + "-", LocalRoot: g.Root(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	bucket := c.Bucket("landing")
	for range 2 {
		if err := c.EnsureLockBucket(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
	}
	if locked, err := c.Locked(t.Context(), bucket); !locked || err != nil {
		t.Fatalf("locked is %v, %v", locked, err)
	}
	if err := c.Attach(bucket); err != nil {
		t.Fatal(err)
	}
	return c, "s3://" + bucket
}

func fileIO(ctx context.Context, t *testing.T, location string) iceio.WriteFileIO {
	t.Helper()
	f, err := iceio.LoadFS(ctx, nil, location+"/x")
	if err != nil {
		t.Fatal(err)
	}
	return f.(iceio.WriteFileIO)
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

func TestFilesOfEverySizeAreReadBack(t *testing.T) {
	t.Parallel()
	_, location := store(t)
	f := fileIO(t.Context(), t, location)
	for _, size := range []int{0, 1, 64 << 10, 256 << 10, 256<<10 + 1, 300 << 10, 8 << 20, 8<<20 + 1, 20 << 20} {
		name, want := location+"/data/"+uuid.NewString(), noise(size)
		w, err := f.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		half, err := w.Write(want[:size/2])
		if err != nil || half != size/2 {
			t.Fatal(half, err)
		}
		if _, err := w.ReadFrom(bytes.NewReader(want[size/2:])); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
		got, err := f.(iceio.ReadFileIO).ReadFile(name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
		readAnyhow(t, f, name, want)
	}
}

// readAnyhow reads by offset, by stream, and after seeking.
func readAnyhow(t *testing.T, f iceio.IO, name string, want []byte) {
	t.Helper()
	file, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if end, err := file.Seek(0, io.SeekEnd); err != nil || end != int64(len(want)) {
		t.Errorf("size %d, want %d, %v", end, len(want), err)
	}
	var group sync.WaitGroup
	for _, off := range []int{0, len(want) / 3, max(0, len(want)-100)} {
		group.Go(func() {
			p := make([]byte, 1000)
			n, err := file.ReadAt(p, int64(off))
			if !bytes.Equal(p[:n], want[off:min(off+1000, len(want))]) || (n < 1000 && !errors.Is(err, io.EOF)) {
				t.Errorf("read %d bytes at %d of %d: %v", n, off, len(want), err)
			}
		})
	}
	group.Wait()
	for _, off := range []int64{int64(len(want) / 2), 0} {
		if _, err := file.Seek(off, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(file)
		if err != nil || !bytes.Equal(rest, want[off:]) {
			t.Errorf("stream from %d: %d bytes, %v", off, len(rest), err)
		}
	}
	info, err := file.Stat()
	if err != nil || info.Size() != int64(len(want)) {
		t.Errorf("stat: %v, %v", info, err)
	}
}

func TestMissingObjectsAreNotExist(t *testing.T) {
	t.Parallel()
	c, location := store(t)
	f := fileIO(t.Context(), t, location)
	name := location + "/none"
	if _, err := f.(iceio.ReadFileIO).ReadFile(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read file: %v", err)
	}
	file, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Read(make([]byte, 1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read: %v", err)
	}
	if _, err := file.Seek(0, io.SeekEnd); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("seek: %v", err)
	}
	if err := f.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove: %v", err)
	}
	if _, err := f.(iceio.StatIO).Stat(name); err == nil {
		t.Error("stat of nothing")
	}
	if err := c.Remove(t.Context(), []string{name}); err != nil {
		t.Errorf("bulk removal: %v", err)
	}
	if err := c.Download(t.Context(), name, filepath.Join(t.TempDir(), "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("download: %v", err)
	}
}

func TestCancelledWriterLeavesNoObject(t *testing.T) {
	t.Parallel()
	c, location := store(t)
	for _, size := range []int{10, 20 << 20} {
		ctx, cancel := context.WithCancel(t.Context())
		ctx, created := objects.WithCreated(ctx)
		f := fileIO(ctx, t, location)
		name := location + "/data/" + uuid.NewString()
		w, err := f.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(noise(size)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := w.Close(); err == nil {
			t.Error("closed under a cancelled context")
		}
		if _, err := os.Stat(c.LocalPath(name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d bytes: the object exists: %v", size, err)
		}
		if diff := cmp.Diff([]string{name}, created.Names()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestListingAndBulkRemoval(t *testing.T) {
	t.Parallel()
	c, location := store(t)
	f := fileIO(t.Context(), t, location)
	var names []string
	for _, key := range []string{"a/1", "a/2", "a/b/3", "c/4"} {
		names = append(names, location+"/"+key)
		if err := f.WriteFile(location+"/"+key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	list := func() []string {
		var found []string
		err := f.(iceio.ListableIO).WalkDir(location+"/a", func(path string, e fs.DirEntry, err error) error {
			if info, infoErr := e.Info(); infoErr != nil || info.Size() == 0 || info.ModTime().IsZero() {
				t.Errorf("%s: %v, %v", path, info, infoErr)
			}
			found = append(found, path)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		slices.Sort(found)
		return found
	}
	if diff := cmp.Diff(names[:3], list()); diff != "" {
		t.Error(diff)
	}
	deleted, err := f.(iceio.BulkRemovableIO).DeleteFiles(t.Context(), append(names[:2:2], location+"/none"))
	if err != nil || len(deleted) != 3 {
		t.Errorf("deleted %v, %v", deleted, err)
	}
	if diff := cmp.Diff(names[2:3], list()); diff != "" {
		t.Error(diff)
	}
	if err := c.Remove(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestNamesMustBeS3(t *testing.T) {
	t.Parallel()
	c, location := store(t)
	f := fileIO(t.Context(), t, location)
	for _, name := range []string{"", "s3://", "s3://b", "s3://b/", "file:///x", "/x"} {
		if _, err := f.Open(name); err == nil || !strings.Contains(err.Error(), "s3://bucket/key") {
			t.Errorf("%q: %v", name, err)
		}
		if c.LocalPath(name) != "" {
			t.Errorf("%q has a local path", name)
		}
	}
}

func TestUnknownBucketsAreRefused(t *testing.T) {
	t.Parallel()
	c, location := store(t)
	if _, err := iceio.LoadFS(t.Context(), nil, "s3://somebody-elses/x"); err == nil || !strings.Contains(err.Error(), "somebody-elses") {
		t.Errorf("error is %v", err)
	}
	other, err := objects.NewClient(objects.Settings{Endpoint: "127.0.0.1:1", AccessKey: "k", SecretKey: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Attach(strings.TrimPrefix(location, "s3://")); err == nil {
		t.Error("one bucket on two servers")
	}
	c.Close()
	if _, err := iceio.LoadFS(t.Context(), nil, location+"/x"); err == nil {
		t.Error("a closed client is still used")
	}
}
