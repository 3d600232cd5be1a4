package zonetest

import (
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/qanat-data/qanat/core/zone"
)

func client(t testing.TB, s zone.Settings) *minio.Client {
	t.Helper()
	transport, err := minio.DefaultTransport(s.Objects.Secure)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := minio.New(s.Objects.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(s.Objects.AccessKey, s.Objects.SecretKey, ""), Transport: transport, Region: "us-east-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// MakePlainBucket makes the bucket of a zone without object lock.
func MakePlainBucket(t testing.TB, s zone.Settings, zoneName string) {
	t.Helper()
	if err := client(t, s).MakeBucket(t.Context(), s.Objects.BucketPrefix+zoneName, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Versions lists every stored version below s3://bucket/prefix by its key and version,
// and tells whether it is under retention.
func Versions(t testing.TB, s zone.Settings, location string) map[string]bool {
	t.Helper()
	c := client(t, s)
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(location, "s3://"), "/")
	out := map[string]bool{}
	opts := minio.ListObjectsOptions{Prefix: prefix + "/", Recursive: true, WithVersions: true}
	for o := range c.ListObjects(t.Context(), bucket, opts) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if o.IsDeleteMarker {
			continue
		}
		info, err := c.StatObject(t.Context(), bucket, o.Key, minio.StatObjectOptions{VersionID: o.VersionID})
		if err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
		out[o.Key+"@"+o.VersionID] = info.Metadata.Get("X-Amz-Object-Lock-Mode") != ""
	}
	return out
}

// Stored counts the objects below s3://bucket/prefix and their bytes.
func Stored(t testing.TB, s zone.Settings, location string) (objects int, bytes int64) {
	t.Helper()
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(location, "s3://"), "/")
	for o := range client(t, s).ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: prefix + "/", Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		objects++
		bytes += o.Size
	}
	return objects, bytes
}
