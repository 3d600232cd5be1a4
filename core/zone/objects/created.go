package objects

import (
	"context"
	"slices"
	"sync"
)

type createdKey struct{}

// Created collects the names of objects that were begun under a context, so that an
// aborted operation can remove them: iceberg-go forgets them when it fails.
type Created struct {
	mutex sync.Mutex
	names []string
}

// WithCreated returns a context whose new objects are collected.
func WithCreated(ctx context.Context) (context.Context, *Created) {
	c := &Created{}
	return context.WithValue(ctx, createdKey{}, c), c
}

func (c *Created) add(name string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.names = append(c.names, name)
}

// Names are the objects begun so far.
func (c *Created) Names() []string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return slices.Clone(c.names)
}
