package gateway

import (
	"context"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"
)

// ListBuckets implements backend.Backend; the posix one lists the working directory.
func (b *backend) ListBuckets(_ context.Context, in s3response.ListBucketsInput) (s3response.ListAllMyBucketsResult, error) {
	entries, err := os.ReadDir(b.root)
	out := s3response.ListAllMyBucketsResult{Owner: s3response.CanonicalUser{ID: in.Owner}}
	if err != nil {
		return out, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() {
			continue
		}
		out.Buckets.Bucket = append(out.Buckets.Bucket,
			s3response.ListAllMyBucketsEntry{Name: e.Name(), CreationDate: info.ModTime()})
	}
	return out, nil
}

// HeadBucket implements backend.Backend.
func (b *backend) HeadBucket(ctx context.Context, in *s3.HeadBucketInput) (*s3.HeadBucketOutput, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	return b.posix.HeadBucket(ctx, &at)
}

// GetBucketAcl implements backend.Backend.
func (b *backend) GetBucketAcl(ctx context.Context, in *s3.GetBucketAclInput) ([]byte, error) { //nolint:revive // the interface's name
	at := *in
	at.Bucket = b.at(in.Bucket)
	return b.posix.GetBucketAcl(ctx, &at)
}

// GetBucketPolicy implements backend.Backend.
func (b *backend) GetBucketPolicy(ctx context.Context, bucket string) ([]byte, error) {
	return b.posix.GetBucketPolicy(ctx, b.path(bucket))
}

// GetBucketCors implements backend.Backend.
func (b *backend) GetBucketCors(ctx context.Context, bucket string) ([]byte, error) {
	return b.posix.GetBucketCors(ctx, b.path(bucket))
}

// GetBucketOwnershipControls implements backend.Backend.
func (b *backend) GetBucketOwnershipControls(ctx context.Context, bucket string) (types.ObjectOwnership, error) {
	return b.posix.GetBucketOwnershipControls(ctx, b.path(bucket))
}

// GetBucketVersioning implements backend.Backend.
func (b *backend) GetBucketVersioning(ctx context.Context, bucket string) (s3response.GetBucketVersioningOutput, error) {
	return b.posix.GetBucketVersioning(ctx, b.path(bucket))
}

// GetObjectLockConfiguration implements backend.Backend.
func (b *backend) GetObjectLockConfiguration(ctx context.Context, bucket string) ([]byte, error) {
	return b.posix.GetObjectLockConfiguration(ctx, b.path(bucket))
}

// GetObjectRetention implements backend.Backend.
func (b *backend) GetObjectRetention(ctx context.Context, bucket, key, version string) ([]byte, error) {
	return b.posix.GetObjectRetention(ctx, b.path(bucket), key, version)
}

// GetObjectLegalHold implements backend.Backend.
func (b *backend) GetObjectLegalHold(ctx context.Context, bucket, key, version string) (*bool, error) {
	return b.posix.GetObjectLegalHold(ctx, b.path(bucket), key, version)
}

// GetObjectTagging implements backend.Backend.
func (b *backend) GetObjectTagging(ctx context.Context, bucket, key, version string) (map[string]string, error) {
	return b.posix.GetObjectTagging(ctx, b.path(bucket), key, version)
}

// HeadObject implements backend.Backend.
func (b *backend) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	return b.posix.HeadObject(ctx, &at)
}

// GetObject implements backend.Backend.
func (b *backend) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	return b.posix.GetObject(ctx, &at)
}

// ListObjects implements backend.Backend.
func (b *backend) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	out, err := b.posix.ListObjects(ctx, &at)
	out.Name = in.Bucket
	return out, err
}

// ListObjectsV2 implements backend.Backend.
func (b *backend) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	out, err := b.posix.ListObjectsV2(ctx, &at)
	out.Name = in.Bucket
	return out, err
}

// ListObjectVersions implements backend.Backend.
func (b *backend) ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput) (s3response.ListVersionsResult, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	out, err := b.posix.ListObjectVersions(ctx, &at)
	out.Name = in.Bucket
	return out, err
}

// CreateMultipartUpload implements backend.Backend.
func (b *backend) CreateMultipartUpload(
	ctx context.Context, in s3response.CreateMultipartUploadInput,
) (s3response.InitiateMultipartUploadResult, error) {
	bucket := in.Bucket
	in.Bucket = b.at(bucket)
	out, err := b.posix.CreateMultipartUpload(ctx, in)
	if bucket != nil {
		out.Bucket = *bucket
	}
	return out, b.room(err)
}

// UploadPart implements backend.Backend.
func (b *backend) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	out, err := b.posix.UploadPart(ctx, &at)
	return out, b.room(err)
}

// AbortMultipartUpload implements backend.Backend.
func (b *backend) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput) error {
	at := *in
	at.Bucket = b.at(in.Bucket)
	return b.posix.AbortMultipartUpload(ctx, &at)
}

// ListParts implements backend.Backend.
func (b *backend) ListParts(ctx context.Context, in *s3.ListPartsInput) (s3response.ListPartsResult, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	out, err := b.posix.ListParts(ctx, &at)
	if in.Bucket != nil {
		out.Bucket = *in.Bucket
	}
	return out, err
}

// ListMultipartUploads implements backend.Backend.
func (b *backend) ListMultipartUploads(
	ctx context.Context, in *s3.ListMultipartUploadsInput,
) (s3response.ListMultipartUploadsResult, error) {
	at := *in
	at.Bucket = b.at(in.Bucket)
	out, err := b.posix.ListMultipartUploads(ctx, &at)
	if in.Bucket != nil {
		out.Bucket = *in.Bucket
	}
	return out, err
}
