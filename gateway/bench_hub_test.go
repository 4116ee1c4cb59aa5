package gateway

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// countSink takes frames as a session's outbound buffer does, in a goroutine that is started on demand, and counts
// them.
type countSink struct {
	mu      sync.Mutex
	src     source
	writing bool
	again   bool
	last    int // bytes of one frame
	left    int // frames to come
	done    *sync.WaitGroup
}

func (k *countSink) wake(src source) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.src = src
	if k.writing {
		k.again = true
		return
	}
	k.writing = true
	go k.write()
}

func (k *countSink) drop(source) {}

var countBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

func (k *countSink) write() {
	for {
		buf := countBuffers.Get().(*[]byte)
		out, more := k.src.next((*buf)[:0], 64<<10)
		n := len(out) / k.last
		*buf = out[:0]
		countBuffers.Put(buf)
		k.mu.Lock()
		if k.left -= n; k.left == 0 && n > 0 {
			k.done.Done()
		}
		if !more && !k.again {
			k.writing = false
			k.mu.Unlock()
			return
		}
		k.again = false
		k.mu.Unlock()
	}
}

// BenchmarkFanOut measures deliveries to subscribers of one queue without sockets: commit, encode, wake, copy. One
// operation is one delivery of a 256-byte body.
func BenchmarkFanOut(b *testing.B) {
	for _, subscribers := range []int{1, 1000, 5000} {
		for _, batch := range []int{1, 16, 100} {
			b.Run(fmt.Sprintf("subs=%d/batch=%d", subscribers, batch), func(b *testing.B) { benchFanOut(b, subscribers, batch) })
		}
	}
}

func benchFanOut(b *testing.B, subscribers, batch int) {
	h := newTestHub(b, quietConfig())
	defer h.stop()
	body := []byte(`"` + strings.Repeat("x", 254) + `"`)
	sample := h.chunker(testKey, encodingSet{true}, 1, 256)
	sample.message(1, &protocol.Message{ID: protocol.MessageID{Queue: 1, N: 1}, TTL: 300, Body: body})
	frame := len(sample.finish()[0].frames[0].data)
	var done sync.WaitGroup
	sinks := make([]*countSink, subscribers)
	for i := range sinks {
		sinks[i] = &countSink{last: frame, done: &done}
		h.registerAt(testKey, sinks[i], 0, protocol.Head{QueueID: 1}).open()
	}
	c := protocol.Committed{Queue: testKey, QueueID: 1, First: 1}
	for range batch {
		c.Messages = append(c.Messages, protocol.NewMessage{Body: body, TTL: 300})
		c.IDs = append(c.IDs, protocol.MessageID{Queue: 1, N: 1})
	}
	flushes := max(1, b.N/(subscribers*batch))
	b.ReportAllocs()
	b.ResetTimer()
	for flushed := 0; flushed < flushes; {
		// So many flushes are on their way at a time as fit well into the ring.
		round := min(flushes-flushed, 8)
		for _, k := range sinks {
			k.mu.Lock()
			k.left = round * batch
			k.mu.Unlock()
		}
		done.Add(subscribers)
		for range round {
			h.committed([]protocol.Committed{c})
			c.First += int64(batch)
		}
		done.Wait()
		flushed += round
	}
	b.StopTimer()
	deliveries := float64(flushes * subscribers * batch)
	b.ReportMetric(deliveries/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCommitted measures what a flush costs on the flusher's goroutine, per message of 256 bytes.
func BenchmarkCommitted(b *testing.B) {
	for _, batch := range []int{1, 16, 256} {
		for _, subscribed := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%d/subscribed=%v", batch, subscribed), func(b *testing.B) {
				cfg := quietConfig()
				cfg.RingAge = time.Hour
				h := newTestHub(b, cfg)
				defer h.stop()
				if subscribed {
					h.registerAt(testKey, &countSink{}, 0, protocol.Head{QueueID: 1}) // never opened
				}
				body := []byte(`"` + strings.Repeat("x", 254) + `"`)
				c := protocol.Committed{Queue: testKey, QueueID: 1, First: 1}
				for range batch {
					c.Messages = append(c.Messages, protocol.NewMessage{Body: body, TTL: 300})
					c.IDs = append(c.IDs, protocol.MessageID{Queue: 1, N: 1})
				}
				events := []protocol.Committed{c}
				b.ReportAllocs()
				for b.Loop() {
					h.committed(events)
					events[0].First += int64(batch)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/message")
			})
		}
	}
}
