package block

import (
	"fmt"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// MaxMemory bounds the columns that are made in one step: of a block, or of what a library reads for one. A few bytes of a file may
// stand for gigabytes: a dictionary whose one long value is in every row, a length that the data behind it does not have, a list of
// a million empty objects.
const MaxMemory = 512 << 20

// MaxCells bounds the values of a block by its rows and columns, since even nulls take memory.
const MaxCells = 4 << 20

// Limited is an allocator that panics with a *Fault when a step takes more than MaxMemory: Arrow's allocators can't return an error,
// and its readers don't ask before they take. Guard turns the panic into an error.
type Limited struct {
	memory.Allocator
	left atomic.Int64
}

// Limit bounds what is taken from an allocator and not given back.
func Limit(alloc memory.Allocator) *Limited {
	l := &Limited{Allocator: alloc}
	l.Reset()
	return l
}

// Reset begins a step.
func (l *Limited) Reset() { l.left.Store(MaxMemory) }

// Unlimited is the allocator behind a limited one, for work in goroutines of a library: a panic there can't be caught.
func Unlimited(alloc memory.Allocator) memory.Allocator {
	if l, ok := alloc.(*Limited); ok {
		return l.Allocator
	}
	return alloc
}

// Allocate implements memory.Allocator.
func (l *Limited) Allocate(size int) []byte {
	l.take(size)
	return l.Allocator.Allocate(size)
}

// Reallocate implements memory.Allocator.
func (l *Limited) Reallocate(size int, b []byte) []byte {
	l.take(size - len(b))
	return l.Allocator.Reallocate(size, b)
}

// Free implements memory.Allocator.
func (l *Limited) Free(b []byte) {
	l.left.Add(int64(len(b)))
	l.Allocator.Free(b)
}

func (l *Limited) take(size int) {
	if l.left.Add(-int64(size)) >= 0 {
		return
	}
	l.left.Add(int64(size))
	panic(TooMuchMemory())
}

// TooMuchMemory says that a step would take more than MaxMemory.
func TooMuchMemory() *Fault {
	return &Fault{Reject: Reject{
		Line: 1, Code: TooLarge,
		Reason: fmt.Sprintf("the rest of the file is not read: a part of it takes more memory than is allowed (%d MiB)", MaxMemory>>20),
	}}
}

// Guard makes a fault of the file of a panic: of a limit that was passed, or of a library over what is in a file.
func Guard(work func() error) (err error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		fault, ok := cause.(*Fault)
		if !ok {
			fault = &Fault{Reject: Reject{
				Line: 1, Code: Malformed, Reason: fmt.Sprintf("the rest of the file can't be read: the file is damaged: %v", cause),
			}}
		}
		err = fault
	}()
	return work()
}
