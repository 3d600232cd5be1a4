package objects

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/minio/minio-go/v7"
)

const (
	partBytes     = 8 << 20 // bounds memory: one part filling and partsInFlight on their way
	partsInFlight = 2
	smallBytes    = 256 << 10 // a file below this size never takes a part buffer
)

var partBuffers = sync.Pool{New: func() any { b := make([]byte, 0, partBytes); return &b }}

// writer puts a small object in one request when it is closed, and a larger one in
// parts while it is written. A failed writer leaves no object.
type writer struct {
	io          *fileIO
	uri         string
	bucket, key string
	options     minio.PutObjectOptions

	buffer []byte
	pooled *[]byte
	upload string
	parts  []minio.CompletePart
	slots  chan struct{}
	group  sync.WaitGroup
	mutex  sync.Mutex
	err    error
	closed bool
}

func newWriter(f *fileIO, name, bucket, key string) *writer {
	return &writer{
		io: f, uri: name, bucket: bucket, key: key,
		options: f.client.putOptions(bucket, key), slots: make(chan struct{}, partsInFlight),
	}
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.closed {
		return 0, objectError("write", w.uri, fs.ErrClosed)
	}
	written := 0
	for len(p) > 0 {
		if err := w.failure(); err != nil {
			return written, err
		}
		n := min(len(p), partBytes-len(w.buffer))
		w.grow(n)
		w.buffer = append(w.buffer, p[:n]...)
		written += n
		p = p[n:]
		if len(w.buffer) == partBytes {
			if err := w.ship(); err != nil {
				return written, w.fail(err)
			}
		}
	}
	return written, nil
}

// grow moves to a part buffer when the object turns out not to be small.
func (w *writer) grow(n int) {
	if w.pooled != nil || len(w.buffer)+n <= smallBytes {
		return
	}
	w.pooled = partBuffers.Get().(*[]byte)
	w.buffer = append((*w.pooled)[:0], w.buffer...)
}

// ReadFrom implements io.ReaderFrom.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	chunk := make([]byte, 64<<10)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, chunk)
}

// ship sends the buffer as the next part.
func (w *writer) ship() error {
	core := w.io.client.core
	if w.upload == "" {
		id, err := core.NewMultipartUpload(w.io.ctx, w.bucket, w.key, w.options)
		if err != nil {
			return err
		}
		w.upload = id
	}
	data, pooled := w.buffer, w.pooled
	w.buffer, w.pooled = nil, nil
	w.mutex.Lock()
	w.parts = append(w.parts, minio.CompletePart{PartNumber: len(w.parts) + 1})
	number := len(w.parts)
	w.mutex.Unlock()
	w.slots <- struct{}{}
	w.group.Go(func() {
		part, err := core.PutObjectPart(w.io.ctx, w.bucket, w.key, w.upload, number,
			bytes.NewReader(data), int64(len(data)),
			minio.PutObjectPartOptions{DisableContentSha256: w.io.client.unsigned()})
		w.mutex.Lock()
		w.parts[number-1].ETag = part.ETag
		w.err = errors.Join(w.err, err)
		w.mutex.Unlock()
		recycle(pooled)
		<-w.slots
	})
	return nil
}

func recycle(pooled *[]byte) {
	if pooled != nil {
		partBuffers.Put(pooled)
	}
}

func (w *writer) failure() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.err == nil {
		return nil
	}
	return w.io.client.failure("put", w.uri, w.err)
}

func (w *writer) fail(err error) error {
	w.mutex.Lock()
	w.err = errors.Join(w.err, err)
	w.mutex.Unlock()
	return w.io.client.failure("put", w.uri, err)
}

// Close publishes the object, or removes what was sent when something failed.
func (w *writer) Close() error {
	if w.closed {
		return objectError("close", w.uri, fs.ErrClosed)
	}
	w.closed = true
	defer func() { recycle(w.pooled); w.buffer, w.pooled = nil, nil }()
	if w.upload == "" && w.failure() == nil {
		_, err := w.io.client.core.PutObject(w.io.ctx, w.bucket, w.key,
			bytes.NewReader(w.buffer), int64(len(w.buffer)), "", "", w.options)
		if err != nil {
			return w.io.client.failure("put", w.uri, err)
		}
		return nil
	}
	if err := w.finish(); err != nil {
		return errors.Join(w.io.client.failure("put", w.uri, err), w.abort())
	}
	return nil
}

func (w *writer) finish() error {
	if len(w.buffer) > 0 && w.failure() == nil {
		if err := w.ship(); err != nil {
			_ = w.fail(err)
		}
	}
	w.group.Wait()
	if w.err != nil {
		return w.err
	}
	_, err := w.io.client.core.CompleteMultipartUpload(w.io.ctx, w.bucket, w.key, w.upload, w.parts, minio.PutObjectOptions{})
	return err
}

func (w *writer) abort() error {
	if w.upload == "" {
		return nil
	}
	ctx, cancel := w.io.cleanup()
	defer cancel()
	return w.io.client.core.AbortMultipartUpload(ctx, w.bucket, w.key, w.upload)
}
