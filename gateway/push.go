package gateway

import (
	"errors"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// PushConfig holds the settings of feeds and of the hub that works them.
type PushConfig struct {
	// RingBytes bounds the encoded frames that one feed keeps in memory for subscribers that are a little
	// behind. Bytes, 4 KiB or more; default 4 MiB.
	RingBytes int
	// TotalRingBytes bounds the same over all feeds. Bytes, RingBytes or more; default 64 MiB.
	TotalRingBytes int
	// RingAge is how long a frame stays in memory at most: subscribers that keep up have taken it long
	// before. 100 ms or more; default 5 s.
	RingAge time.Duration
	// ChunkBytes is about how many bytes of frames a subscriber takes from a feed at once. Bytes, 1 KiB or
	// more; default 64 KiB.
	ChunkBytes int
	// PageRows and PageBytes bound what is read from the database at once for subscribers that have fallen
	// behind the ring. Rows, 1 or more, default 500; bytes, 4 KiB or more, default 512 KiB.
	PageRows  int
	PageBytes int
	// TotalPageBytes bounds such pages that wait for their subscribers to take them, over all feeds: past it
	// the oldest is dropped and read again when its subscriber asks. Bytes, PageBytes or more; default 32 MiB.
	TotalPageBytes int
	// Readers is how many of these reads run at a time. 1 or more; default 4.
	Readers int
	// Workers is how many goroutines wake subscribers. 1 or more; default 2.
	Workers int
	// PollInterval is how often the heads of the queues with subscribers are compared with the database, in
	// case that a wake was lost. 10 ms or more; default 1 s.
	PollInterval time.Duration
	// ObserveInterval is how often the note is renewed that these queues are observed. The note lives for
	// 60 s, so 1 to 30 s; default 20 s.
	ObserveInterval time.Duration
	// QueryTimeout bounds each read of the database. 100 ms or more; default 10 s.
	QueryTimeout time.Duration
	// SessionSubscriptions bounds the subscriptions of one session. 1 or more; default 256.
	SessionSubscriptions int
}

// DefaultPushConfig returns the defaults.
func DefaultPushConfig() PushConfig {
	return PushConfig{
		RingBytes:            4 << 20,
		TotalRingBytes:       64 << 20,
		RingAge:              5 * time.Second,
		ChunkBytes:           64 << 10,
		PageRows:             500,
		PageBytes:            512 << 10,
		TotalPageBytes:       32 << 20,
		Readers:              4,
		Workers:              2,
		PollInterval:         time.Second,
		ObserveInterval:      20 * time.Second,
		QueryTimeout:         10 * time.Second,
		SessionSubscriptions: 256,
	}
}

// Check returns an error that names the first setting that is out of range.
func (c PushConfig) Check() error {
	for _, rule := range []struct {
		ok   bool
		text string
	}{
		{c.RingBytes >= 4<<10, "push: RingBytes must be at least 4 KiB"},
		{c.TotalRingBytes >= c.RingBytes, "push: TotalRingBytes must be at least RingBytes"},
		{c.RingAge >= 100*time.Millisecond, "push: RingAge must be at least 100 ms"},
		{c.ChunkBytes >= 1<<10, "push: ChunkBytes must be at least 1 KiB"},
		{c.PageRows >= 1, "push: PageRows must be at least 1"},
		{c.PageBytes >= 4<<10, "push: PageBytes must be at least 4 KiB"},
		{c.TotalPageBytes >= c.PageBytes, "push: TotalPageBytes must be at least PageBytes"},
		{c.Readers >= 1, "push: Readers must be at least 1"},
		{c.Workers >= 1, "push: Workers must be at least 1"},
		{c.PollInterval >= 10*time.Millisecond, "push: PollInterval must be at least 10 ms"},
		{c.ObserveInterval >= time.Second && c.ObserveInterval <= 30*time.Second, "push: ObserveInterval must be 1 to 30 s"},
		{c.QueryTimeout >= 100*time.Millisecond, "push: QueryTimeout must be at least 100 ms"},
		{c.SessionSubscriptions >= 1, "push: SessionSubscriptions must be at least 1"},
	} {
		if !rule.ok {
			return errors.New(rule.text)
		}
	}
	return nil
}

// pushSink is the outbound side of a session as a subscriber needs it; *outbound is one.
type pushSink interface {
	// wake says that src has frames. It does not block.
	wake(src source)
	// drop forgets src: after it returned, src.next is not called again.
	drop(src source)
}

// Committed tells the gateway what its own store has committed: subscribers here get it from memory. It is called on
// the flusher's goroutine and does not block; the batch is not kept. Safe for concurrent use.
func (g *Gateway) Committed(batch []protocol.Committed) {
	g.hub.committed(batch)
	g.parking.committed(batch)
}

// QueueChanged tells the gateway that a queue was made, deleted, purged or given other metadata, here or through
// another gateway. It does not block. Safe for concurrent use.
func (g *Gateway) QueueChanged(key protocol.QueueKey, queueID int64) {
	g.hub.queueChanged(key)
	g.parking.queueChanged(key, queueID)
}

// Released tells the gateway that messages of a queue can be claimed again, here or through another gateway. It does not
// block. Safe for concurrent use.
func (g *Gateway) Released(queueID int64) { g.parking.wakeQueue(queueID) }

// SubscriptionsChanged tells the gateway that another one has changed or deleted subscriptions to a queue: those of
// sockets here are looked for. It does not block. Safe for concurrent use.
func (g *Gateway) SubscriptionsChanged(key protocol.QueueKey) { g.hub.subscriptionsEnded(key) }

// Wake hints that a queue has a message number head. Hints may be lost, doubled or late. It does not block. Safe for
// concurrent use.
func (g *Gateway) Wake(queueID, head int64) {
	g.hub.wakeQueue(queueID, head)
	g.parking.wakeQueue(queueID)
}

// Reconnected tells the gateway that hints may have been lost: all feeds are compared with the database at once. It
// does not block. Safe for concurrent use.
func (g *Gateway) Reconnected() {
	g.hub.reconnected()
	g.parking.reconnected()
}

// sessionClosed ends the subscriptions of a session that has closed.
func (g *Gateway) sessionClosed(s *session) { g.hub.closeSession(&s.subs) }
