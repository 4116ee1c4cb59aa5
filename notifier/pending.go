package notifier

import (
	"sync"

	"github.com/nusku-messaging/nusku/protocol"
)

// pending are the hints that wait to be sent, merged: one of each kind for a queue. It is safe for concurrent use
// and never blocks for long.
type pending struct {
	max int
	// ready has one element whenever there is something to take.
	ready chan struct{}

	mu sync.Mutex
	batch
}

// batch is a set of merged hints.
type batch struct {
	wakes      map[int64]int64 // queue id -> highest number committed
	released   map[int64]int64 // queue id -> lowest number released
	changed    map[changedQueue]struct{}
	ended      map[protocol.QueueKey]struct{} // queues with subscriptions that were deleted
	everything bool                           // stands for all of the above
	hello      bool
}

// changedQueue is a queue and its number: a name may get a new number while a hint of its old one still waits.
type changedQueue struct {
	key protocol.QueueKey
	id  int64
}

func newPending(max int) *pending {
	return &pending{max: max, ready: make(chan struct{}, 1), batch: newBatch()}
}

func newBatch() batch {
	return batch{
		wakes:    make(map[int64]int64),
		released: make(map[int64]int64),
		changed:  make(map[changedQueue]struct{}),
		ended:    make(map[protocol.QueueKey]struct{}),
	}
}

// wake adds that the queue's messages up to number head are committed.
func (p *pending) wake(queueID, head int64) {
	p.add(func(b *batch) { b.wakes[queueID] = max(b.wakes[queueID], head) })
}

// release adds that the queue's messages from number seq on may be free again.
func (p *pending) release(queueID, seq int64) {
	p.add(func(b *batch) { b.release(queueID, seq) })
}

// change adds that the queue was made, changed, purged or deleted.
func (p *pending) change(key protocol.QueueKey, queueID int64) {
	p.add(func(b *batch) { b.changed[changedQueue{key, queueID}] = struct{}{} })
}

// end adds that subscriptions to the queue were deleted.
func (p *pending) end(key protocol.QueueKey) {
	p.add(func(b *batch) { b.ended[key] = struct{}{} })
}

// greet adds a hello.
func (p *pending) greet() {
	p.add(func(b *batch) { b.hello = true })
}

// introduce adds a hello and that everything may have changed: for a gateway that was not told so far.
func (p *pending) introduce() {
	p.add(func(b *batch) { b.hello, b.everything = true, true })
}

// add changes the batch, keeps its bound, and says that there is something to take.
func (p *pending) add(change func(*batch)) {
	p.mu.Lock()
	change(&p.batch)
	if p.everything || p.size() > p.max {
		p.collapse()
	}
	p.mu.Unlock()
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// take returns what waits and leaves nothing behind.
func (p *pending) take() batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.batch
	p.batch = newBatch()
	return taken
}

// putBack adds what could not be sent.
func (p *pending) putBack(unsent batch) {
	p.add(func(b *batch) { b.merge(unsent) })
}

func (b *batch) release(queueID, seq int64) {
	if lowest, ok := b.released[queueID]; !ok || seq < lowest {
		b.released[queueID] = seq
	}
}

func (b *batch) size() int { return len(b.wakes) + len(b.released) + len(b.changed) + len(b.ended) }

// collapse puts one hint in the place of all.
func (b *batch) collapse() {
	b.everything = true
	clear(b.wakes)
	clear(b.released)
	clear(b.changed)
	clear(b.ended)
}

// merge adds all of other.
func (b *batch) merge(other batch) {
	for id, head := range other.wakes {
		b.wakes[id] = max(b.wakes[id], head)
	}
	for id, seq := range other.released {
		b.release(id, seq)
	}
	for queue := range other.changed {
		b.changed[queue] = struct{}{}
	}
	for key := range other.ended {
		b.ended[key] = struct{}{}
	}
	b.everything = b.everything || other.everything
	b.hello = b.hello || other.hello
}

// hints lists the batch.
func (b *batch) hints() []hint {
	hints := make([]hint, 0, b.size()+2)
	if b.hello {
		hints = append(hints, hint{kind: kindHello})
	}
	if b.everything {
		hints = append(hints, hint{kind: kindEverything})
	}
	for queue := range b.changed {
		hints = append(hints, hint{kind: kindChanged, queueID: queue.id, key: queue.key})
	}
	for key := range b.ended {
		hints = append(hints, hint{kind: kindSubscriptions, key: key})
	}
	for id, head := range b.wakes {
		hints = append(hints, hint{kind: kindWake, queueID: id, n: head})
	}
	for id, seq := range b.released {
		hints = append(hints, hint{kind: kindReleased, queueID: id, n: seq})
	}
	return hints
}
