package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/minio/minio-go/v7"
)

// fileIO serves iceberg-go for one operation: the interface has no context of its
// own, so it carries the one that the operation was started with.
type fileIO struct {
	client *Client
	ctx    context.Context
}

var (
	_ iceio.WriteFileIO     = (*fileIO)(nil)
	_ iceio.ReadFileIO      = (*fileIO)(nil)
	_ iceio.BulkRemovableIO = (*fileIO)(nil)
	_ iceio.ListableIO      = (*fileIO)(nil)
	_ iceio.StatIO          = (*fileIO)(nil)
)

// Open sends nothing: the first read tells whether the object exists.
func (f *fileIO) Open(name string) (iceio.File, error) {
	bucket, key, err := split(name)
	if err != nil {
		return nil, err
	}
	return &file{io: f, uri: name, bucket: bucket, key: key, size: -1}, nil
}

// ReadFile gets a whole object.
func (f *fileIO) ReadFile(name string) ([]byte, error) {
	bucket, key, err := split(name)
	if err != nil {
		return nil, err
	}
	var data []byte
	err = f.whole("get", name, func() error {
		body, _, _, err := f.client.core.GetObject(f.ctx, bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		data, err = io.ReadAll(body)
		return errors.Join(err, body.Close())
	})
	if err != nil {
		return nil, err
	}
	return current(name, data, time.Now())
}

// readTries is how often an answer that was cut off is asked for again. minio-go repeats requests only until an answer begins.
const readTries = 3

// whole gets an answer again that was cut off on its way.
func (f *fileIO) whole(op, name string, get func() error) error {
	var err error
	for range readTries {
		if err = get(); err == nil {
			return nil
		}
		if f.ctx.Err() != nil || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
			break
		}
	}
	return f.client.failure(op, name, err)
}

// Create starts an object; it exists once the writer is closed.
func (f *fileIO) Create(name string) (iceio.FileWriter, error) {
	bucket, key, err := split(name)
	if err != nil {
		return nil, err
	}
	if created, ok := f.ctx.Value(createdKey{}).(*Created); ok {
		created.add(name)
	}
	return newWriter(f, name, bucket, key), nil
}

// WriteFile puts a whole object.
func (f *fileIO) WriteFile(name string, data []byte) error {
	bucket, key, err := split(name)
	if err != nil {
		return err
	}
	return f.put(name, bucket, key, data)
}

func (f *fileIO) put(name, bucket, key string, data []byte) error {
	_, err := f.client.core.PutObject(f.ctx, bucket, key, bytes.NewReader(data), int64(len(data)), "", "",
		f.client.putOptions(bucket, key))
	if err != nil {
		return f.client.failure("put", name, err)
	}
	return nil
}

// WalkDir visits every object below root; S3 has no folders, so it visits none.
func (f *fileIO) WalkDir(root string, visit fs.WalkDirFunc) error {
	bucket, prefix, err := split(root)
	if err != nil {
		return err
	}
	prefix = strings.TrimSuffix(prefix, "/") + "/"
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	for o := range f.client.core.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return f.client.failure("list", root, o.Err)
		}
		err := visit(uri(bucket, o.Key), fs.FileInfoToDirEntry(info{o.Key, o.Size, o.LastModified}), nil)
		if errors.Is(err, fs.SkipAll) || errors.Is(err, fs.SkipDir) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Stat asks for size and time of an object.
func (f *fileIO) Stat(name string) (fs.FileInfo, error) {
	bucket, key, err := split(name)
	if err != nil {
		return nil, err
	}
	o, err := f.client.core.StatObject(f.ctx, bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return nil, f.client.failure("stat", name, err)
	}
	return info{key, o.Size, o.LastModified}, nil
}

type info struct {
	key      string
	size     int64
	modified time.Time
}

func (i info) Name() string       { return path.Base(i.key) }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return 0o400 }
func (i info) ModTime() time.Time { return i.modified }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }

func split(name string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(name, "s3://")
	if ok {
		bucket, key, ok = strings.Cut(rest, "/")
	}
	if !ok || bucket == "" || key == "" {
		return "", "", fmt.Errorf("objects: name %q: expected s3://bucket/key", name)
	}
	return bucket, key, nil
}

func uri(bucket, key string) string { return "s3://" + bucket + "/" + key }

func hasCode(err error, codes ...string) bool {
	var response minio.ErrorResponse
	if !errors.As(err, &response) {
		return false
	}
	return slices.Contains(codes, response.Code)
}

// failure is the error of an operation on an object, with the server named where it is to blame.
func (c *Client) failure(op, name string, err error) error {
	return objectError(op, name, c.blame(err))
}

func objectError(op, name string, err error) error {
	if hasCode(err, "NoSuchKey", "NoSuchVersion") {
		err = errors.Join(fs.ErrNotExist, err)
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
