package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"unsafe"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	vgw "github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3response"
)

// backend is the posix backend with two changes. Buckets reach it as absolute
// paths, so that neither the process' working directory nor a second gateway
// matters; and what a request wrote is synced before the request is answered.
// Requests that Qanat has no use for (copies, tags, ACLs, web sites) stay
// unsupported, because they would bypass both.
type backend struct {
	vgw.BackendUnsupported
	posix    *posix.Posix
	root     string
	versions string
	objects  durable
	old      durable
}

func openBackend(root, versions string) (*backend, error) {
	if err := makeDirs(root, versions); err != nil {
		return nil, err
	}
	store := meta.XattrMeta{}
	if err := store.Test(root); err != nil {
		return nil, fmt.Errorf("folder %q: %w; keep it on another file system or use an S3 server", root, err)
	}
	p, err := openPosix(store, versions)
	if err != nil {
		return nil, err
	}
	return &backend{
		posix: p, root: root, versions: versions,
		objects: durable{root: root}, old: durable{root: versions},
	}, nil
}

// openPosix makes a backend for buckets that come as absolute paths. posix.New
// enters its root folder and, given a folder for versions, prints to standard
// output, which belongs to results. So its root is the working directory, where it
// is anyway, and the other folder is set past it.
func openPosix(store meta.MetadataStorer, versions string) (*posix.Posix, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	p, err := posix.New(dir, store, posix.PosixOpts{
		ForceNoObjLockFile: true, // the only other use of its root
		DataIntegrityEtag:  true, // CRC-64 in place of MD5
	})
	if err != nil {
		return nil, err
	}
	field := reflect.ValueOf(p).Elem().FieldByName("versioningDir")
	if field.Kind() != reflect.String {
		p.Shutdown()
		return nil, errors.New("this release of versitygw keeps versions in another way")
	}
	*(*string)(unsafe.Pointer(field.UnsafeAddr())) = versions //nolint:gosec // checked to be a string
	return p, nil
}

func (b *backend) Shutdown()      { b.posix.Shutdown() }
func (b *backend) String() string { return "qanat" }

func (b *backend) path(bucket string) string { return filepath.Join(b.root, bucket) }

func (b *backend) at(bucket *string) *string {
	if bucket == nil {
		return nil
	}
	p := b.path(*bucket)
	return &p
}

// written syncs an object that was put or removed, and its older versions.
func (b *backend) written(bucket, key *string) error {
	if bucket == nil || key == nil {
		return nil
	}
	path := filepath.Join(b.path(*bucket), *key)
	if err := b.objects.file(path); err != nil {
		return fmt.Errorf("sync object: %w", err)
	}
	// The backend keeps older versions of a key below its hash.
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(*key)))
	versions := filepath.Join(b.versions, b.path(*bucket), sum[:2], sum[2:4], sum[4:6], sum)
	if err := b.old.tree(versions); err != nil {
		return fmt.Errorf("sync versions: %w", err)
	}
	return nil
}

func (b *backend) forget(bucket, key *string) {
	if bucket != nil && key != nil {
		b.objects.forget(filepath.Join(b.path(*bucket), *key))
		b.old.known.Clear()
	}
}

// PutObject implements backend.Backend.
func (b *backend) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	bucket := in.Bucket
	in.Bucket = b.at(bucket)
	out, err := b.posix.PutObject(ctx, in)
	if err == nil {
		err = b.written(bucket, in.Key)
	}
	return out, b.room(err)
}

// DeleteObject implements backend.Backend.
func (b *backend) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	b.forget(in.Bucket, in.Key)
	out, err := b.posix.DeleteObject(ctx, &at)
	b.forget(in.Bucket, in.Key)
	if err == nil {
		err = b.written(in.Bucket, in.Key)
	}
	return out, err
}

// DeleteObjects implements backend.Backend.
func (b *backend) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	var ids []types.ObjectIdentifier
	if in.Delete != nil {
		ids = in.Delete.Objects
	}
	for i := range ids {
		b.forget(in.Bucket, ids[i].Key)
	}
	out, err := b.posix.DeleteObjects(ctx, &at)
	for i := range ids {
		b.forget(in.Bucket, ids[i].Key)
		if err == nil {
			err = b.written(in.Bucket, ids[i].Key)
		}
	}
	return out, err
}

// CompleteMultipartUpload implements backend.Backend.
func (b *backend) CompleteMultipartUpload(
	ctx context.Context, in *s3.CompleteMultipartUploadInput,
) (s3response.CompleteMultipartUploadResult, string, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	out, version, err := b.posix.CompleteMultipartUpload(ctx, &at)
	if err == nil {
		out.Bucket = in.Bucket
		err = b.written(in.Bucket, in.Key)
	}
	return out, version, b.room(err)
}

// CreateBucket implements backend.Backend.
func (b *backend) CreateBucket(ctx context.Context, in *s3.CreateBucketInput, acl []byte) error {
	at := *in
	at.Bucket = b.at(in.Bucket)
	if at.CreateBucketConfiguration == nil {
		at.CreateBucketConfiguration = &types.CreateBucketConfiguration{}
	}
	if err := b.posix.CreateBucket(ctx, &at, acl); err != nil {
		return b.room(err)
	}
	return errors.Join(syncDir(*at.Bucket), syncDir(b.root))
}

// DeleteBucket implements backend.Backend.
func (b *backend) DeleteBucket(ctx context.Context, bucket string) error {
	b.objects.known.Clear()
	b.old.known.Clear()
	if err := b.posix.DeleteBucket(ctx, b.path(bucket)); err != nil {
		return err
	}
	return syncDir(b.root)
}
