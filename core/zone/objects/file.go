package objects

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// tailBytes are read with the size: they hold a Parquet footer, and the whole of a small file, such as a unit of ten thousand rows leaves,
// which else takes a request for each column.
const tailBytes = 256 << 10

// file reads an object. ReadAt may be called concurrently; Read and Seek may not.
type file struct {
	io          *fileIO
	uri         string
	bucket, key string

	mutex sync.Mutex
	size  int64 // -1 until known
	tail  []byte

	offset int64
	stream io.ReadCloser
}

// measure learns the size and the tail by one suffix request, in place of a HEAD.
func (f *file) measure() (int64, []byte, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.size >= 0 {
		return f.size, f.tail, nil
	}
	opts := minio.GetObjectOptions{}
	opts.Set("Range", "bytes=-"+strconv.Itoa(tailBytes))
	var tail []byte
	var size int64
	var total string
	err := f.io.whole("open", f.uri, func() error {
		body, o, header, err := f.io.client.core.GetObject(f.io.ctx, f.bucket, f.key, opts)
		if err != nil {
			return err
		}
		size = o.Size
		_, total, _ = strings.Cut(header.Get("Content-Range"), "/")
		read := bytes.NewBuffer(make([]byte, 0, min(max(o.Size, 0), tailBytes)+bytes.MinRead))
		_, err = read.ReadFrom(body)
		tail = read.Bytes()
		return errors.Join(err, body.Close())
	})
	if hasCode(err, "InvalidRange") {
		f.size = 0
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	if total != "" {
		if size, err = strconv.ParseInt(total, 10, 64); err != nil {
			return 0, nil, objectError("read", f.uri, fmt.Errorf("content range %q: %w", total, err))
		}
	}
	if size < int64(len(tail)) {
		size = int64(len(tail))
	}
	f.size, f.tail = size, tail
	return size, tail, nil
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	size, tail, err := f.measure()
	if err != nil {
		return 0, err
	}
	if off < 0 || off >= size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), size-off)
	if start := size - int64(len(tail)); off >= start {
		copy(p[:want], tail[off-start:])
	} else if err := f.readRange(p[:want], off); err != nil {
		return 0, err
	}
	if want < int64(len(p)) {
		return int(want), io.EOF
	}
	return int(want), nil
}

func (f *file) readRange(p []byte, off int64) error {
	opts := minio.GetObjectOptions{}
	if err := opts.SetRange(off, off+int64(len(p))-1); err != nil {
		return objectError("read", f.uri, err)
	}
	return f.io.whole("read", f.uri, func() error {
		body, _, _, err := f.io.client.core.GetObject(f.io.ctx, f.bucket, f.key, opts)
		if err != nil {
			return err
		}
		_, err = io.ReadFull(body, p)
		return errors.Join(err, body.Close())
	})
}

// Read streams from the current offset.
func (f *file) Read(p []byte) (int, error) {
	if f.stream == nil {
		opts := minio.GetObjectOptions{}
		if f.offset > 0 {
			opts.Set("Range", "bytes="+strconv.FormatInt(f.offset, 10)+"-")
		}
		body, _, _, err := f.io.client.core.GetObject(f.io.ctx, f.bucket, f.key, opts)
		if hasCode(err, "InvalidRange") {
			return 0, io.EOF
		}
		if err != nil {
			return 0, f.io.client.failure("read", f.uri, err)
		}
		f.stream = body
	}
	n, err := f.stream.Read(p)
	f.offset += int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // readers return it bare
		err = f.io.client.failure("read", f.uri, err)
	}
	return n, err
}

// Seek implements io.Seeker.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		size, _, err := f.measure()
		if err != nil {
			return 0, err
		}
		offset += size
	default:
		return 0, objectError("seek", f.uri, fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, objectError("seek", f.uri, fs.ErrInvalid)
	}
	if offset != f.offset {
		if err := f.Close(); err != nil {
			return 0, err
		}
	}
	f.offset = offset
	return offset, nil
}

// Stat implements fs.File.
func (f *file) Stat() (fs.FileInfo, error) {
	size, _, err := f.measure()
	if err != nil {
		return nil, err
	}
	return info{f.key, size, time.Time{}}, nil
}

// Close implements io.Closer.
func (f *file) Close() error {
	if f.stream == nil {
		return nil
	}
	err := f.stream.Close()
	f.stream = nil
	return err
}
