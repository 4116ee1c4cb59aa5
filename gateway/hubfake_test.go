package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
)

var testKey = protocol.QueueKey{Project: "p", Name: "q"}

// feedStore is a store as feeds see it: queues of numbered messages, in memory.
type feedStore struct {
	mu       sync.Mutex
	queues   map[protocol.QueueKey]*feedQueue
	byID     map[int64]*feedQueue
	lastID   int64
	down     error         // what every call returns, if set
	delay    time.Duration // how long a read and a deletion take; for tests in a synctest bubble
	reads    int
	polls    int
	observed map[int64]int
	ended    [][]uuid.UUID
	deleted  map[uuid.UUID]bool // subscriptions that another gateway has deleted
}

type feedQueue struct {
	key  protocol.QueueKey
	id   int64
	head int64
	gone map[int64]protocol.GapReason // numbers that are gone, "" for those that nobody explains
	size int                          // bytes of a body
}

func newFeedStore() *feedStore {
	return &feedStore{
		queues: map[protocol.QueueKey]*feedQueue{}, byID: map[int64]*feedQueue{}, observed: map[int64]int{},
		deleted: map[uuid.UUID]bool{},
	}
}

// makeLocked makes a queue unless it exists.
func (st *feedStore) makeLocked(key protocol.QueueKey) *feedQueue {
	q := st.queues[key]
	if q == nil {
		st.lastID++
		q = &feedQueue{key: key, id: st.lastID, gone: map[int64]protocol.GapReason{}}
		st.queues[key], st.byID[q.id] = q, q
	}
	return q
}

// post commits n messages and returns what a store tells of it.
func (st *feedStore) post(key protocol.QueueKey, n int) []protocol.Committed {
	st.mu.Lock()
	defer st.mu.Unlock()
	q := st.makeLocked(key)
	c := protocol.Committed{Queue: key, QueueID: q.id, First: q.head + 1}
	for range n {
		q.head++
		c.Messages = append(c.Messages, protocol.NewMessage{Body: q.body(q.head), TTL: 300})
		c.IDs = append(c.IDs, protocol.MessageID{Queue: q.id, N: q.head})
	}
	return []protocol.Committed{c}
}

// body is a JSON text that holds the queue's id and the message's number, padded to size.
func (q *feedQueue) body(seq int64) []byte {
	text := fmt.Sprintf("%d/%d/", q.id, seq)
	for len(text) < q.size {
		text += "x"
	}
	return strconv.AppendQuote(nil, text)
}

func (st *feedStore) delete(key protocol.QueueKey) {
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.byID, st.queues[key].id)
	delete(st.queues, key)
}

// take lets messages vanish.
func (st *feedStore) take(key protocol.QueueKey, from, to int64, reason protocol.GapReason) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for seq := from; seq <= to; seq++ {
		st.queues[key].gone[seq] = reason
	}
}

func (st *feedStore) setDown(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.down = err
}

func (st *feedStore) Head(_ context.Context, key protocol.QueueKey) (protocol.Head, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.down != nil {
		return protocol.Head{}, st.down
	}
	q := st.makeLocked(key)
	st.observed[q.id]++
	return protocol.Head{QueueID: q.id, Last: q.head}, nil
}

func (st *feedStore) Feed(_ context.Context, _ protocol.QueueKey, id, cursor int64, rows, bytes int) (protocol.FeedPage, error) {
	if st.delay > 0 {
		time.Sleep(st.delay)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.reads++
	if st.down != nil {
		return protocol.FeedPage{}, st.down
	}
	q := st.byID[id]
	if q == nil {
		return protocol.FeedPage{}, fmt.Errorf("read feed: %w", protocol.ErrNoQueue)
	}
	page := protocol.FeedPage{Head: protocol.Head{QueueID: id, Last: q.head}, Upto: cursor}
	for seq := cursor + 1; seq <= q.head && len(page.Messages) < rows && bytes > 0; seq++ {
		page.Upto = seq
		reason, gone := q.gone[seq]
		switch {
		case !gone:
			m := protocol.Message{ID: protocol.MessageID{Queue: id, N: seq}, Seq: seq, Body: q.body(seq), TTL: 300, Age: 1}
			page.Messages = append(page.Messages, m)
			bytes -= len(m.Body)
		case reason != "":
			if n := len(page.Gaps); n > 0 && page.Gaps[n-1].To == seq-1 && page.Gaps[n-1].Reason == reason {
				page.Gaps[n-1].To = seq
			} else {
				page.Gaps = append(page.Gaps, protocol.Gap{From: seq, To: seq, Reason: reason})
			}
		}
	}
	return page, nil
}

func (st *feedStore) Heads(_ context.Context, ids []int64) (map[int64]int64, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.polls++
	if st.down != nil {
		return nil, st.down
	}
	heads := map[int64]int64{}
	for _, id := range ids {
		if q := st.byID[id]; q != nil {
			heads[id] = q.head
		}
	}
	return heads, nil
}

func (st *feedStore) Observe(_ context.Context, ids []int64) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, id := range ids {
		st.observed[id]++
	}
	return st.down
}

func (st *feedStore) Queue(_ context.Context, key protocol.QueueKey) (*protocol.Queue, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.down != nil {
		return nil, st.down
	}
	q := st.queues[key]
	if q == nil {
		return nil, protocol.ErrNoQueue
	}
	return &protocol.Queue{QueueKey: key, ID: q.id}, nil
}

func (st *feedStore) EndSocketSubscriptions(_ context.Context, ids []uuid.UUID) error {
	if st.delay > 0 {
		time.Sleep(st.delay)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.down != nil {
		return st.down
	}
	st.ended = append(st.ended, ids)
	return nil
}

func (st *feedStore) KnownSubscriptions(_ context.Context, ids []uuid.UUID) (known []uuid.UUID, _ error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, id := range ids {
		if !st.deleted[id] {
			known = append(known, id)
		}
	}
	return known, st.down
}

// push is a frame that a subscriber got: a message of queue id and number, or a gap.
type push struct {
	id, seq int64
	gap     protocol.Gap
}

// testSink stands in for a session's outbound buffer: it pulls on demand, in a goroutine of its own, and keeps what
// comes. While it is stalled it pulls nothing, like a socket that takes nothing.
type testSink struct {
	t     testing.TB
	limit int

	mu      sync.Mutex
	changed *sync.Cond
	ready   []source
	writing bool
	stalled bool
	raw     []byte
	got     []push
	bytes   int
	work    sync.WaitGroup
	count   int  // frames
	blind   bool // count only
}

func newTestSink(t testing.TB) *testSink {
	k := &testSink{t: t, limit: 1 << 20}
	k.changed = sync.NewCond(&k.mu)
	return k
}

func (k *testSink) wake(src source) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if st := src.state(); st.ready || st.dropped {
		return
	}
	src.state().ready = true
	k.ready = append(k.ready, src)
	k.start()
}

func (k *testSink) start() {
	if !k.writing && !k.stalled && len(k.ready) > 0 {
		k.writing = true
		k.work.Go(k.write)
	}
}

func (k *testSink) write() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.ready) > 0 && !k.stalled {
		src := k.ready[0]
		k.ready = k.ready[1:]
		src.state().ready = false
		buf := k.raw[:0]
		k.mu.Unlock()
		out, more := src.next(buf, k.limit)
		k.mu.Lock()
		k.raw = out
		k.parse(out)
		if more && !src.state().ready && !src.state().dropped {
			src.state().ready = true
			k.ready = append(k.ready, src)
		}
		k.changed.Broadcast()
	}
	k.writing = false
}

func (k *testSink) drop(src source) {
	k.mu.Lock()
	defer k.mu.Unlock()
	src.state().dropped = true
}

func (k *testSink) stall(stalled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stalled = stalled
	k.start()
}

// parse reads frames.
func (k *testSink) parse(b []byte) {
	k.bytes += len(b)
	for len(b) > 0 {
		if b[0]&0x80 == 0 {
			b = k.parseEvent(b)
			continue
		}
		opcode, n, head := b[0]&15, int(b[1]), 2
		switch n {
		case 126:
			n, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		k.count++
		if !k.blind {
			payload := b[head : head+n]
			if opcode == opBinary {
				text, err := protocol.Transcode(nil, payload, protocol.MessagePack, protocol.JSON)
				if err != nil {
					k.t.Errorf("push is not MessagePack: %v", err)
				}
				payload = text
			}
			k.got = append(k.got, parsePush(k.t, payload))
		}
		b = b[head+n:]
	}
}

// parseEvent reads an event of a stream, and returns what follows.
func (k *testSink) parseEvent(b []byte) []byte {
	text, rest, ok := bytes.Cut(b, []byte("\n\n"))
	head, data, found := bytes.Cut(text, []byte("\ndata: "))
	if !ok || !found || bytes.ContainsAny(data, "\r\n") {
		k.t.Errorf("event %q", text)
	}
	k.count++
	if k.blind {
		return rest
	}
	p := parsePush(k.t, data)
	k.got = append(k.got, p)
	want := fmt.Sprintf("id: %s\nevent: message", protocol.MessageID{Queue: p.id, N: p.seq})
	if p.gap.Reason != "" {
		want = "event: gap" // the marker before it depends on the gap
	}
	if !bytes.HasSuffix(head, []byte(want)) {
		k.t.Errorf("event begins %q, want %q", head, want)
	}
	return rest
}

func parsePush(t testing.TB, payload []byte) push {
	var frame struct {
		Type  string          `json:"Message_Type"`
		Queue string          `json:"queue_name"`
		Body  json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(payload, &frame); err != nil {
		t.Errorf("push %q: %v", payload, err)
		return push{}
	}
	var p push
	switch frame.Type {
	case "Gap":
		var gap struct {
			From, To int64
			Reason   protocol.GapReason
		}
		if err := json.Unmarshal(frame.Body, &gap); err != nil {
			t.Errorf("gap %q: %v", payload, err)
		}
		p.gap = protocol.Gap{From: gap.From, To: gap.To, Reason: gap.Reason}
	case "Notification":
		var text string
		if err := json.Unmarshal(frame.Body, &text); err != nil {
			t.Errorf("notification %q: %v", payload, err)
		}
		if _, err := fmt.Sscanf(text, "%d/%d/", &p.id, &p.seq); err != nil {
			t.Errorf("body %q: %v", text, err)
		}
	default:
		t.Errorf("frame of type %q", frame.Type)
	}
	return p
}

// pushes returns what came.
func (k *testSink) pushes() []push {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]push(nil), k.got...)
}

// await waits until n frames have come.
func (k *testSink) await(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.count < n {
		k.changed.Wait()
	}
}

// testHub is a hub over a feedStore.
type testHub struct {
	*hub
	t     testing.TB
	store *feedStore
}

// quietConfig has no timers that get in a test's way.
func quietConfig() PushConfig {
	cfg := DefaultPushConfig()
	cfg.PollInterval = time.Hour
	cfg.ObserveInterval = 30 * time.Second
	cfg.RingAge = time.Hour
	return cfg
}

func newTestHub(t testing.TB, cfg PushConfig) *testHub {
	t.Helper()
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	h := &testHub{t: t, store: newFeedStore()}
	h.hub = newHub(cfg, h.store, zerolog.Nop())
	h.start()
	return h
}

// register subscribes a sink, as the handler does, up to the opening.
func (h *testHub) register(key protocol.QueueKey, sink pushSink, enc encoding) *subscriber {
	head, err := h.store.Head(context.Background(), key)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.registerAt(key, sink, enc, head)
}

func (h *testHub) registerAt(key protocol.QueueKey, sink pushSink, enc encoding, head protocol.Head) *subscriber {
	s, _ := h.subscribe(subscription{
		id: uuid.New(), key: key, head: head, ttl: time.Hour, encoding: enc, session: &sessionSubs{}, sink: sink,
	})
	if s == nil {
		h.t.Fatal("not subscribed")
	}
	return s
}

// sub subscribes and opens.
func (h *testHub) sub(key protocol.QueueKey) (*testSink, *subscriber) {
	sink := newTestSink(h.t)
	s := h.register(key, sink, 0)
	s.open()
	return sink, s
}

// postLocal posts through this gateway, postRemote through another one.
func (h *testHub) postLocal(key protocol.QueueKey, n int)  { h.committed(h.store.post(key, n)) }
func (h *testHub) postRemote(key protocol.QueueKey, n int) { h.store.post(key, n) }

// wakeRemote is the hint that another gateway has committed.
func (h *testHub) wakeRemote(key protocol.QueueKey) {
	h.store.mu.Lock()
	q := *h.store.queues[key]
	h.store.mu.Unlock()
	h.wakeQueue(q.id, q.head)
}

// wantSeqs checks that exactly the messages from to to of queue id came, in order.
func wantSeqs(t testing.TB, got []push, id, from, to int64) {
	t.Helper()
	want := from
	for i, p := range got {
		if p.id != id || p.seq != want {
			t.Fatalf("push %d of %d is %+v, want message %d of queue %d", i, len(got), p, want, id)
		}
		want++
	}
	if want != to+1 {
		t.Fatalf("got messages up to %d, want %d", want-1, to)
	}
}
