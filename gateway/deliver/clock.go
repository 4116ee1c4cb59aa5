package deliver

import (
	"container/heap"
	"time"
)

// waitHeap are the streams that wait for the time of their next attempt, the soonest first. Its exported methods are
// those of heap.Interface.
type waitHeap []*stream

// Len is that of sort.Interface.
func (h waitHeap) Len() int { return len(h) }

// Less is that of sort.Interface.
func (h waitHeap) Less(i, j int) bool { return h[i].wakeAt.Before(h[j].wakeAt) }

// Swap is that of sort.Interface.
func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is that of heap.Interface.
func (h *waitHeap) Push(x any) {
	s := x.(*stream)
	s.index = len(*h)
	*h = append(*h, s)
}

// Pop is that of heap.Interface.
func (h *waitHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return s
}

// add says whether the stream is now the soonest.
func (h *waitHeap) add(s *stream) bool {
	heap.Push(h, s)
	return s.index == 0
}

func (h *waitHeap) remove(s *stream) { heap.Remove(h, s.index) }

// clockLoop wakes streams when the time of their next attempt has come.
func (e *Engine) clockLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(e.wakeDue(time.Now()))
		select {
		case <-e.taking.Done():
			return
		case <-timer.C:
		case <-e.clockNow:
		}
	}
}

// wakeDue wakes the streams whose time has come, and returns how long it is to the next.
func (e *Engine) wakeDue(now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.waits) > 0 {
		s := e.waits[0]
		if s.wakeAt.After(now) {
			return s.wakeAt.Sub(now)
		}
		e.wakeNow(s)
	}
	return time.Hour
}
