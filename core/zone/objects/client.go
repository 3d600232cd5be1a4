// Package objects is Qanat's client of S3: buckets and object lock on minio-go, and
// the file IO that iceberg-go reads and writes tables through (scheme s3). Only
// package zone uses it; the embedded server is package gateway.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	defaultRegion  = "us-east-1"
	maxRetries     = 5
	cleanupTimeout = 30 * time.Second
	idlePerHost    = 64
)

// Settings say which server holds the objects.
type Settings struct {
	Endpoint     string // host:port
	AccessKey    string
	SecretKey    string
	Region       string // default us-east-1
	Secure       bool   // https
	BucketPrefix string // bucket of a zone = BucketPrefix + zone
	LocalRoot    string // folder of the embedded gateway's buckets; empty for an external server
	// Timeout is how long nothing may move on a request, in either direction; 0 takes DefaultTimeout.
	Timeout time.Duration
}

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	core      *minio.Core
	transport *http.Transport
	watch     *watched
	settings  Settings
	retention map[string]time.Duration // by bucket, read-only after Attach
	versioned map[string]bool          // buckets with object lock, read-only after Attach
	attached  []string
}

// NewClient makes a client; it sends nothing.
func NewClient(s Settings) (*Client, error) {
	if s.Region == "" {
		s.Region = defaultRegion
	}
	transport, err := minio.DefaultTransport(s.Secure)
	if err != nil {
		return nil, fmt.Errorf("objects: %w", err)
	}
	if s.Timeout <= 0 {
		s.Timeout = DefaultTimeout
	}
	transport.ResponseHeaderTimeout = 0 // the watch bounds it, and what lies before and behind
	transport.MaxIdleConnsPerHost = idlePerHost
	watch := &watched{next: transport, limit: s.Timeout, health: health{open: map[*watchdog]bool{}}}
	core, err := minio.NewCore(s.Endpoint, &minio.Options{
		Creds:        credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""),
		Secure:       s.Secure,
		Region:       s.Region,
		Transport:    watch,
		BucketLookup: minio.BucketLookupPath,
		MaxRetries:   maxRetries,
	})
	if err != nil {
		return nil, fmt.Errorf("objects: endpoint %q: %w", s.Endpoint, err)
	}
	return &Client{
		core: core, transport: transport, watch: watch, settings: s,
		retention: map[string]time.Duration{}, versioned: map[string]bool{},
	}, nil
}

// Bucket names the bucket of a zone.
func (c *Client) Bucket(zone string) string { return c.settings.BucketPrefix + zone }

// EnsureBucket makes a bucket that is missing.
func (c *Client) EnsureBucket(ctx context.Context, bucket string) error {
	return c.ensure(ctx, bucket, minio.MakeBucketOptions{Region: c.settings.Region})
}

// EnsureLockBucket makes a bucket that is missing, with object lock where the
// server supports it. A bucket that exists stays as it is.
func (c *Client) EnsureLockBucket(ctx context.Context, bucket string) error {
	err := c.ensure(ctx, bucket, minio.MakeBucketOptions{Region: c.settings.Region, ObjectLocking: true})
	if hasCode(err, "NotImplemented", "InvalidRequest", "InvalidArgument") {
		return c.EnsureBucket(ctx, bucket)
	}
	return err
}

func (c *Client) ensure(ctx context.Context, bucket string, opts minio.MakeBucketOptions) error {
	exists, err := c.core.BucketExists(ctx, bucket)
	if err != nil {
		return fmt.Errorf("objects: bucket %q: %w", bucket, c.blame(err))
	}
	if exists {
		return nil
	}
	err = c.core.MakeBucket(ctx, bucket, opts)
	if err != nil && !hasCode(err, "BucketAlreadyOwnedByYou", "BucketAlreadyExists") {
		return fmt.Errorf("objects: make bucket %q: %w", bucket, c.blame(err))
	}
	return nil
}

// Locked tells whether the bucket has object lock, and so versions. Call it before
// Attach for each bucket that may have.
func (c *Client) Locked(ctx context.Context, bucket string) (bool, error) {
	status, _, _, _, err := c.core.GetObjectLockConfig(ctx, bucket)
	if hasCode(err, "ObjectLockConfigurationNotFoundError", "NotImplemented") {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("objects: lock of bucket %q: %w", bucket, c.blame(err))
	}
	c.versioned[bucket] = status == "Enabled"
	return c.versioned[bucket], nil
}

// Retain makes later writes of data files and manifests to the bucket carry a
// retention period (governance mode). Call it before Attach.
func (c *Client) Retain(bucket string, period time.Duration) { c.retention[bucket] = period }

// LocalPath is where an object lies on this machine, or empty when the server is
// not the embedded gateway.
func (c *Client) LocalPath(uri string) string {
	bucket, key, err := split(uri)
	if err != nil || c.settings.LocalRoot == "" {
		return ""
	}
	return filepath.Join(c.settings.LocalRoot, bucket, filepath.FromSlash(key))
}

// Download writes an object to path, replacing it in one step.
func (c *Client) Download(ctx context.Context, uri, path string) error {
	bucket, key, err := split(uri)
	if err != nil {
		return err
	}
	body, _, _, err := c.core.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return c.failure("get", uri, err)
	}
	defer func() { _ = body.Close() }()
	f, err := os.CreateTemp(filepath.Dir(path), ".download-*")
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	_, err = io.Copy(f, body)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return c.failure("download", uri, err)
	}
	return nil
}

// Remove deletes objects, as many as it can. A missing object is no error; an object
// under retention stays behind a delete marker.
func (c *Client) Remove(ctx context.Context, uris []string) error {
	_, err := (&fileIO{client: c, ctx: ctx}).DeleteFiles(ctx, uris)
	return err
}

// Close detaches the client's buckets and closes idle connections.
func (c *Client) Close() {
	detach(c)
	c.transport.CloseIdleConnections()
}

// unsigned tells whether payload hashes can be left out: the embedded gateway is
// reached over loopback, where they would only cost both sides their processor.
func (c *Client) unsigned() bool { return c.settings.LocalRoot != "" && !c.settings.Secure }

func (c *Client) putOptions(bucket, key string) minio.PutObjectOptions {
	opts := minio.PutObjectOptions{DisableContentSha256: c.unsigned()}
	period := c.retention[bucket]
	if period > 0 && (strings.Contains(key, "/data/") || strings.HasSuffix(key, ".avro")) {
		opts.Mode = minio.Governance
		opts.RetainUntilDate = time.Now().Add(period).UTC()
		opts.SendContentMd5 = true
	}
	return opts
}
