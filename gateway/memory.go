package gateway

import (
	"slices"
	"sync"
	"sync/atomic"
)

// budget counts the bytes that all sessions together hold for one purpose. Counting never waits; whoever wants to begin
// something that will hold more waits in room, in the order of arrival, while the budget is used up.
type budget struct {
	max  int64
	used atomic.Int64
	// waiters is the length of queue, to look at without the mutex.
	waiters atomic.Int32

	mu    sync.Mutex
	queue []chan struct{}
}

// add counts n bytes, or gives them back when n is negative.
func (b *budget) add(n int64) {
	b.used.Add(n)
	if b.waiters.Load() > 0 {
		b.letOneIn()
	}
}

// hasRoom says whether something may begin without waiting.
func (b *budget) hasRoom() bool {
	return b.used.Load() < b.max && b.waiters.Load() == 0
}

// full says whether the budget is used up.
func (b *budget) full() bool { return b.used.Load() >= b.max }

// room waits until the budget has room and it is the caller's turn, or until the caller may go on without: it is asked
// whenever lighter is told. False means that gone was closed before. The caller then counts what it holds with add, which lets the next one in if there is still room.
func (b *budget) room(gone, lighter <-chan struct{}, may func() bool) bool {
	if b.hasRoom() {
		return true
	}
	turn := make(chan struct{})
	b.mu.Lock()
	b.queue = append(b.queue, turn)
	b.waiters.Store(int32(len(b.queue)))
	b.mu.Unlock()
	// What was given back before the queue was seen woke nobody.
	b.letOneIn()
	// It may have become able to go on before it could be told.
	on := may != nil && may()
	for !on {
		select {
		case <-turn:
			return true
		case <-gone:
			b.giveUp(turn)
			return false
		case <-lighter:
			on = may()
		}
	}
	b.giveUp(turn)
	return true
}

// giveUp takes a waiter that does not want its turn any more out of the queue.
func (b *budget) giveUp(turn chan struct{}) {
	b.mu.Lock()
	if i := slices.Index(b.queue, turn); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
		b.waiters.Store(int32(len(b.queue)))
	}
	b.mu.Unlock()
	// If it was this one's turn already, it is the next one's now.
	b.letOneIn()
}

// letOneIn tells the first in the queue that there is room, if there is.
func (b *budget) letOneIn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 || b.used.Load() >= b.max {
		return
	}
	close(b.queue[0])
	b.queue = slices.Delete(b.queue, 0, 1)
	b.waiters.Store(int32(len(b.queue)))
}
