package objects

import (
	"context"
	"errors"

	"github.com/minio/minio-go/v7"
)

// cleanup outlives a cancelled operation, so that what it wrote can be removed.
func (f *fileIO) cleanup() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(f.ctx), cleanupTimeout)
}

// Remove deletes one object.
func (f *fileIO) Remove(name string) error {
	bucket, key, err := split(name)
	if err != nil {
		return err
	}
	ctx, cancel := f.cleanup()
	defer cancel()
	if err := f.client.remove(ctx, bucket, key); err != nil {
		return f.client.failure("remove", name, err)
	}
	return nil
}

func (c *Client) remove(ctx context.Context, bucket, key string) error {
	if !c.versioned[bucket] {
		return c.core.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{})
	}
	// Without a version the data would stay behind a delete marker. Names are never
	// used twice, so the current version is the only one.
	o, err := c.core.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return err
	}
	err = c.core.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{VersionID: o.VersionID})
	if denied(err) {
		return c.core.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{})
	}
	return err
}

// DeleteFiles deletes objects in bulk and returns those that are gone.
func (f *fileIO) DeleteFiles(_ context.Context, names []string) ([]string, error) {
	ctx, cancel := f.cleanup()
	defer cancel()
	byBucket := map[string][]string{}
	for _, name := range names {
		bucket, key, err := split(name)
		if err != nil {
			return nil, err
		}
		byBucket[bucket] = append(byBucket[bucket], key)
	}
	var deleted []string
	var errs []error
	for bucket, keys := range byBucket {
		removeAll := f.client.removeBulk
		if f.client.versioned[bucket] {
			removeAll = f.client.removeEach
		}
		failed := removeAll(ctx, bucket, keys)
		for _, key := range keys {
			err, bad := failed[key]
			if bad && !hasCode(err, "NoSuchKey") {
				errs = append(errs, f.client.failure("remove", uri(bucket, key), err))
				continue
			}
			deleted = append(deleted, uri(bucket, key))
		}
	}
	return deleted, errors.Join(errs...)
}

func (c *Client) removeEach(ctx context.Context, bucket string, keys []string) map[string]error {
	failed := map[string]error{}
	for _, key := range keys {
		if err := c.remove(ctx, bucket, key); err != nil {
			failed[key] = err
		}
	}
	return failed
}

func (c *Client) removeBulk(ctx context.Context, bucket string, keys []string) map[string]error {
	queue := make(chan minio.ObjectInfo, len(keys))
	for _, key := range keys {
		queue <- minio.ObjectInfo{Key: key}
	}
	close(queue)
	failed := map[string]error{}
	for e := range c.core.RemoveObjects(ctx, bucket, queue, minio.RemoveObjectsOptions{}) {
		failed[e.ObjectName] = e.Err
	}
	return failed
}
