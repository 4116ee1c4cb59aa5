package gateway

import "sync"

// workState is where a feed is in a work queue.
type workState uint8

const (
	workIdle workState = iota
	workQueued
	workRunning
	// workAgain: the feed was added while it was worked, and is worked once more.
	workAgain
)

// workQueue hands feeds to workers, first come first served. A feed waits in it at most once and is worked by one
// worker at a time, so the queue is bounded by the number of feeds.
type workQueue struct {
	// state returns the feed's place in this queue.
	state func(*feed) *workState

	mu     sync.Mutex
	wake   sync.Cond
	feeds  []*feed
	closed bool
}

func newWorkQueue(state func(*feed) *workState) *workQueue {
	q := &workQueue{state: state}
	q.wake.L = &q.mu
	return q
}

// add asks for f to be worked. It does not block.
func (q *workQueue) add(f *feed) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch st := q.state(f); *st {
	case workIdle:
		*st = workQueued
		q.feeds = append(q.feeds, f)
		q.wake.Signal()
	case workRunning:
		*st = workAgain
	}
}

// run works feeds until the queue is closed. A feed for which work returns true is queued once more.
func (q *workQueue) run(work func(*feed) (again bool)) {
	for {
		f := q.take()
		if f == nil {
			return
		}
		q.finish(f, work(f))
	}
}

// take waits for a feed; nil means that the queue is closed.
func (q *workQueue) take() *feed {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.feeds) == 0 && !q.closed {
		q.wake.Wait()
	}
	if q.closed {
		return nil
	}
	f := q.feeds[0]
	q.feeds[0] = nil
	q.feeds = q.feeds[1:]
	*q.state(f) = workRunning
	return f
}

func (q *workQueue) finish(f *feed, again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	st := q.state(f)
	if !again && *st != workAgain {
		*st = workIdle
		return
	}
	*st = workQueued
	q.feeds = append(q.feeds, f)
	q.wake.Signal()
}

// close lets all workers end. Feeds that wait are not worked any more.
func (q *workQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}
