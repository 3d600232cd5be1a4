package objects

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// Object is a stored object, or one of its versions.
type Object struct {
	URI      string // s3://bucket/key
	Bytes    int64
	Modified time.Time // by the server's clock
	Version  string    // empty where the bucket keeps none
	Latest   bool
	Marker   bool // a delete marker: no data
}

// Versioned tells whether the bucket of a name keeps versions.
func (c *Client) Versioned(name string) bool {
	bucket, _, err := split(name)
	return err == nil && c.versioned[bucket]
}

// List visits the objects below a folder, without those behind a delete marker.
func (c *Client) List(ctx context.Context, folder string) iter.Seq2[Object, error] {
	return c.list(ctx, folder, false)
}

// Versions visits every version below a folder, delete markers among them. Versions of one object come one after the other.
func (c *Client) Versions(ctx context.Context, folder string) iter.Seq2[Object, error] {
	return c.list(ctx, folder, true)
}

func (c *Client) list(ctx context.Context, folder string, versions bool) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		bucket, prefix, err := split(folder)
		if err != nil {
			yield(Object{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		options := minio.ListObjectsOptions{Prefix: strings.TrimSuffix(prefix, "/") + "/", Recursive: true, WithVersions: versions}
		for o := range c.core.Client.ListObjects(ctx, bucket, options) {
			if o.Err != nil {
				yield(Object{}, c.failure("list", folder, o.Err))
				return
			}
			found := Object{
				URI: uri(bucket, o.Key), Bytes: o.Size, Modified: o.LastModified,
				Version: o.VersionID, Latest: o.IsLatest || !versions, Marker: o.IsDeleteMarker,
			}
			if !yield(found, nil) {
				return
			}
		}
	}
}

// RemoveVersion removes one version for good. A version under retention stays, which is no error: the time until it must is given.
func (c *Client) RemoveVersion(ctx context.Context, o Object) (locked time.Time, err error) {
	bucket, key, err := split(o.URI)
	if err != nil {
		return time.Time{}, err
	}
	err = c.core.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{VersionID: o.Version})
	if err == nil || hasCode(err, "NoSuchKey", "NoSuchVersion") {
		return time.Time{}, nil
	}
	if !denied(err) {
		return time.Time{}, c.failure("remove", o.URI, err)
	}
	info, statErr := c.core.StatObject(ctx, bucket, key, minio.StatObjectOptions{VersionID: o.Version})
	if statErr != nil {
		return time.Time{}, c.failure("remove", o.URI, errors.Join(err, statErr))
	}
	until, parseErr := time.Parse(time.RFC3339, info.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	if parseErr != nil { // denied for another reason than retention
		return time.Time{}, c.failure("remove", o.URI, err)
	}
	return until, nil
}

// denied tells whether a removal was refused, as it is for what is under retention.
func denied(err error) bool { return hasCode(err, "AccessDenied", "ObjectLocked", "InvalidRequest") }

// Put stores a small object.
func (c *Client) Put(ctx context.Context, name string, data []byte) error {
	bucket, key, err := split(name)
	if err != nil {
		return err
	}
	_, err = c.core.PutObject(ctx, bucket, key, bytes.NewReader(data), int64(len(data)), "", "", c.putOptions(bucket, key))
	if err != nil {
		return c.failure("put", name, err)
	}
	return nil
}

// Dated is an object's content with two times of the server's clock: when it was stored, and when it was read.
type Dated struct {
	Data     []byte
	Modified time.Time
	Now      time.Time
}

// Read gets a small object. A missing one is fs.ErrNotExist.
func (c *Client) Read(ctx context.Context, name string) (Dated, error) {
	bucket, key, err := split(name)
	if err != nil {
		return Dated{}, err
	}
	body, info, header, err := c.core.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return Dated{}, c.failure("get", name, err)
	}
	data, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return Dated{}, c.failure("get", name, err)
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now() // the server tells no time
	}
	return Dated{Data: data, Modified: info.LastModified, Now: now}, nil
}

// Upload is an object that somebody began to send in parts.
type Upload struct {
	URI   string
	ID    string
	Begun time.Time // by the server's clock
}

// Uploads lists what was begun below a folder and neither finished nor given up. A server that can't tell has none.
func (c *Client) Uploads(ctx context.Context, folder string) ([]Upload, error) {
	bucket, prefix, err := split(folder)
	if err != nil {
		return nil, err
	}
	prefix = strings.TrimSuffix(prefix, "/") + "/"
	const page = 1000
	var found []Upload
	for key, id := "", ""; ; {
		result, err := c.core.ListMultipartUploads(ctx, bucket, prefix, key, id, "", page)
		if hasCode(err, "NotImplemented") {
			return nil, nil
		}
		if err != nil {
			return nil, c.failure("list uploads", folder, err)
		}
		for _, u := range result.Uploads {
			found = append(found, Upload{URI: uri(bucket, u.Key), ID: u.UploadID, Begun: u.Initiated})
		}
		if !result.IsTruncated || result.NextKeyMarker == "" {
			return found, nil
		}
		key, id = result.NextKeyMarker, result.NextUploadIDMarker
	}
}

// AbortUpload gives an upload up. One that is gone is no error.
func (c *Client) AbortUpload(ctx context.Context, u Upload) error {
	bucket, key, err := split(u.URI)
	if err != nil {
		return err
	}
	err = c.core.AbortMultipartUpload(ctx, bucket, key, u.ID)
	if err != nil && !hasCode(err, "NoSuchUpload") {
		return c.failure("abort upload", u.URI, err)
	}
	return nil
}
