package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/qanat-data/qanat/sdk"
)

// Scheme begins the path of an object.
const Scheme = "s3://"

// S3Settings say where a server is and who asks.
type S3Settings struct {
	Endpoint     string
	Region       string
	AccessKey    string
	SecretKey    string
	SessionToken string
	Plain        bool // without TLS
}

// S3 is the buckets of a server.
type S3 struct {
	core      minio.Core
	transport *http.Transport
}

// NewS3 prepares a client without connecting. Without an access key the credentials come from the environment or from AWS's shared
// file, and requests are anonymous if there are none.
func NewS3(s S3Settings) (*S3, error) {
	transport, err := minio.DefaultTransport(!s.Plain)
	if err != nil {
		return nil, err
	}
	who := credentials.NewStaticV4(s.AccessKey, s.SecretKey, s.SessionToken)
	if s.AccessKey == "" {
		who = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}})
	}
	core, err := minio.NewCore(s.Endpoint, &minio.Options{
		Creds: who, Secure: !s.Plain, Region: s.Region, Transport: transport,
		MaxRetries: 3, // the runtime owns retry
	})
	if err != nil {
		return nil, fmt.Errorf("s3 at %q: %w", s.Endpoint, err)
	}
	return &S3{core: *core, transport: transport}, nil
}

// Close ends idle connections.
func (s *S3) Close() { s.transport.CloseIdleConnections() }

// Split cuts s3://bucket/key.
func Split(url string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(url, Scheme), "/")
	return bucket, key
}

// List implements Store.
func (s *S3) List(ctx context.Context, url string) ([]File, error) {
	bucket, pattern := Split(url)
	if !IsPattern(pattern) {
		file, err := s.stat(ctx, File{Path: url})
		if err != nil {
			return nil, err
		}
		return []File{file}, nil
	}
	prefix := pattern[:strings.IndexAny(pattern, `*?[{\`)]
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var files []File
	for object := range s.core.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if object.Err != nil {
			return nil, s3Error(url, object.Err)
		}
		matches, err := doublestar.Match(pattern, object.Key)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", url, err)
		}
		if matches && !strings.HasSuffix(object.Key, "/") && !hidden(pattern, object.Key) {
			files = append(files, s.file(bucket, object))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w matches %q", ErrNotFound, url)
	}
	return sorted(files), nil
}

func (s *S3) file(bucket string, o minio.ObjectInfo) File {
	return File{
		Path: Scheme + bucket + "/" + o.Key, Size: o.Size, ModTime: o.LastModified,
		ETag: strings.Trim(o.ETag, `"`), opener: s,
	}
}

func (s *S3) stat(ctx context.Context, f File) (File, error) {
	bucket, key := Split(f.Path)
	info, err := s.core.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return File{}, s3Error(f.Path, err)
	}
	return s.file(bucket, info), nil
}

func (s *S3) open(ctx context.Context, f File, offset int64) (io.ReadCloser, error) {
	if offset >= f.Size {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return s.get(ctx, f, offset, f.Size-1)
}

// get reads a range of the object that was listed: one that has changed since is an error.
func (s *S3) get(ctx context.Context, f File, from, to int64) (io.ReadCloser, error) {
	bucket, key := Split(f.Path)
	var options minio.GetObjectOptions
	if err := options.SetRange(from, to); err != nil {
		return nil, err
	}
	if err := options.SetMatchETag(f.ETag); err != nil {
		return nil, err
	}
	body, _, _, err := s.core.GetObject(ctx, bucket, key, options)
	if err != nil {
		return nil, s3Error(f.Path, err)
	}
	return &object{body: body, path: f.Path, left: to - from + 1}, nil
}

func (s *S3) random(ctx context.Context, f File) (Random, error) {
	ctx, cancel := context.WithCancel(ctx)
	return &ranges{ctx: ctx, cancel: cancel, store: s, file: f}, nil
}

// object types the faults of the network, and finds a body that ends too early.
type object struct {
	body io.ReadCloser
	path string
	left int64
}

func (o *object) Read(p []byte) (int, error) {
	n, err := o.body.Read(p)
	o.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && o.left > 0:
		return n, s3Error(o.path, io.ErrUnexpectedEOF)
	case err != nil && !errors.Is(err, io.EOF):
		return n, s3Error(o.path, err)
	}
	return n, err
}

func (o *object) Close() error { return o.body.Close() }

// ranges reads an object by one request for each range.
type ranges struct {
	ctx    context.Context //nolint:containedctx // io.ReaderAt has no context of its own
	cancel context.CancelFunc
	store  *S3
	file   File
}

func (r *ranges) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if offset >= r.file.Size {
		return 0, io.EOF
	}
	to := min(offset+int64(len(p)), r.file.Size)
	body, err := r.store.get(r.ctx, r.file, offset, to-1)
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }()
	n, err := io.ReadFull(body, p[:to-offset])
	if err == nil && n < len(p) {
		return n, io.EOF
	}
	return n, err
}

func (r *ranges) Close() error {
	r.cancel()
	return nil
}

// s3Error says what may be done about a server's answer.
func s3Error(path string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	response := minio.ToErrorResponse(err)
	switch response.Code {
	case "NoSuchKey", "NotFound":
		return fmt.Errorf("%w: %q", ErrNotFound, path)
	case "NoSuchBucket":
		return sdk.ConfigError("/path", "%q: there is no such bucket", path)
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled":
		return sdk.ConfigError("/s3", "%q: %s: %s", path, response.Code, response.Message)
	case "PreconditionFailed":
		return sdk.Retryable(fmt.Errorf("%q changed while it was read", path), 0)
	}
	return sdk.Retryable(fmt.Errorf("%q: %w", path, err), 0)
}
