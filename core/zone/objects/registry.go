package objects

import (
	"context"
	"fmt"
	"net/url"
	"sync"

	iceio "github.com/apache/iceberg-go/io"
)

// attachments is process-wide because iceberg-go's scheme registry is: a scheme can
// be registered once, so the file IO finds its client by bucket.
type attachments struct {
	register sync.Once
	mutex    sync.Mutex
	buckets  map[string][]*Client
}

var attached = attachments{buckets: map[string][]*Client{}}

// Attach lets iceberg-go reach the buckets through this client, until Close. The
// same bucket name may be attached again only for the same server.
func (c *Client) Attach(buckets ...string) error {
	attached.register.Do(func() { iceio.Register("s3", openIO) })
	attached.mutex.Lock()
	defer attached.mutex.Unlock()
	for _, b := range buckets {
		if others := attached.buckets[b]; len(others) > 0 && others[0].settings.Endpoint != c.settings.Endpoint {
			return fmt.Errorf("objects: bucket %q is in use on %q, can't use it on %q in the same process",
				b, others[0].settings.Endpoint, c.settings.Endpoint)
		}
	}
	for _, b := range buckets {
		attached.buckets[b] = append(attached.buckets[b], c)
	}
	c.attached = append(c.attached, buckets...)
	return nil
}

func detach(c *Client) {
	attached.mutex.Lock()
	defer attached.mutex.Unlock()
	for _, b := range c.attached {
		kept := attached.buckets[b][:0:0]
		for _, other := range attached.buckets[b] {
			if other != c {
				kept = append(kept, other)
			}
		}
		if len(kept) == 0 {
			delete(attached.buckets, b)
			continue
		}
		attached.buckets[b] = kept
	}
	c.attached = nil
}

func openIO(ctx context.Context, location *url.URL, _ map[string]string) (iceio.IO, error) {
	attached.mutex.Lock()
	defer attached.mutex.Unlock()
	clients := attached.buckets[location.Host]
	if len(clients) == 0 {
		return nil, fmt.Errorf("objects: bucket %q of %q belongs to no zone of this project", location.Host, location)
	}
	return &fileIO{client: clients[len(clients)-1], ctx: ctx}, nil
}
