package deliver

import (
	"container/list"
	"context"
	"sync"
)

// budget is memory that many share. What is taken may turn out larger than was asked for: then the next waits longer.
type budget struct {
	size int

	mu      sync.Mutex
	left    int
	waiting list.List // of *claim
}

// claim waits for memory.
type claim struct {
	size int
	ok   chan struct{} // closed when it has it
}

func newBudget(size int) *budget { return &budget{size: size, left: size} }

// take waits until size bytes are there, in turn, or ctx ends.
func (b *budget) take(ctx context.Context, size int) error {
	b.mu.Lock()
	if b.waiting.Len() == 0 && b.left >= size {
		b.left -= size
		b.mu.Unlock()
		return nil
	}
	c := &claim{size: size, ok: make(chan struct{})}
	e := b.waiting.PushBack(c)
	b.mu.Unlock()
	select {
	case <-c.ok:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.ok: // it came at the same moment
		b.left += size
	default:
		b.waiting.Remove(e)
	}
	b.deal()
	return context.Cause(ctx)
}

// tryTake takes size bytes if they are there and nobody waits for memory; a budget that nothing was taken of gives any
// size.
func (b *budget) tryTake(size int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting.Len() > 0 || b.left < size && b.left < b.size {
		return false
	}
	b.left -= size
	return true
}

// wanted says whether somebody waits for memory.
func (b *budget) wanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting.Len() > 0
}

// give returns memory; a negative size takes more at once, though it be too much.
func (b *budget) give(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += size
	b.deal()
}

// deal gives what is there to those who have waited longest. Requires mu.
func (b *budget) deal() {
	for e := b.waiting.Front(); e != nil && b.left >= e.Value.(*claim).size; e = b.waiting.Front() {
		c := b.waiting.Remove(e).(*claim)
		b.left -= c.size
		close(c.ok)
	}
}
