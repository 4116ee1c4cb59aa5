package deliver

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// fakeBackend is a store in memory, for tests of what a database has no part in.
type fakeBackend struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	subs    map[uuid.UUID]*fakeSub
	names   map[protocol.QueueKey]int64
	queues  map[int64]*fakeQueue
	nextID  int64
	fail    error // what all calls return
	failed  int   // reads that did
	reads   int
}

type fakeSub struct {
	d        protocol.Durable
	until    time.Time // the lease's end
	nextTry  time.Time
	dead     []protocol.DeadDelivery
	progress protocol.Progress
}

type fakeQueue struct {
	head     int64
	messages []protocol.Message
	expired  int64 // up to it
}

func newFakeBackend() *fakeBackend {
	return &fakeBackend{
		changed: make(chan struct{}), subs: make(map[uuid.UUID]*fakeSub), names: make(map[protocol.QueueKey]int64),
		queues: make(map[int64]*fakeQueue),
	}
}

// touch tells those who await something. Requires mu.
func (b *fakeBackend) touch() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// await returns when ok, which is called with the lock held, is true.
func (b *fakeBackend) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		b.mu.Lock()
		is, changed := ok(), b.changed
		b.mu.Unlock()
		if is {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func testKey(name string) protocol.QueueKey { return protocol.QueueKey{Project: "p", Name: name} }

// queue makes a queue and returns its id.
func (b *fakeBackend) queue(key protocol.QueueKey) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nextID++
	b.names[key] = b.nextID
	b.queues[b.nextID] = &fakeQueue{}
	return b.nextID
}

// deleteQueue deletes a queue.
func (b *fakeBackend) deleteQueue(key protocol.QueueKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.queues, b.names[key])
	delete(b.names, key)
}

// post stores messages whose bodies are the numbers of the messages, and returns the newest number.
func (b *fakeBackend) post(key protocol.QueueKey, n int) (id, head int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id = b.names[key]
	q := b.queues[id]
	for range n {
		q.head++
		q.messages = append(q.messages, protocol.Message{
			ID: protocol.MessageID{Queue: id, N: q.head}, Seq: q.head, Body: fmt.Appendf(nil, "%d", q.head), TTL: 300,
		})
	}
	return id, q.head
}

// subscribe makes a confirmed subscription at the head of its queue.
func (b *fakeBackend) subscribe(key protocol.QueueKey, subscriber, options string) uuid.UUID {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &fakeSub{d: protocol.Durable{
		Subscription: protocol.Subscription{ID: uuid.New(), Queue: key, Subscriber: subscriber, Options: []byte(options), Confirmed: true},
		Secrets:      [][]byte{[]byte("0123456789abcdef0123456789abcdef")},
	}}
	s.d.ID = s.d.Subscription.ID
	if id := b.names[key]; id != 0 {
		s.d.QueueID, s.d.Cursor = id, b.queues[id].head
	}
	b.subs[s.d.ID] = s
	return s.d.ID
}

// change changes a subscription.
func (b *fakeBackend) change(id uuid.UUID, change func(s *fakeSub)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b.subs[id])
	b.subs[id].d.Version++
	b.touch()
}

// held returns the subscription if the lease is valid. Requires mu.
func (b *fakeBackend) held(l protocol.Lease) (*fakeSub, error) {
	s := b.subs[l.ID]
	switch {
	case b.fail != nil:
		return nil, b.fail
	case s == nil || s.d.Token != l.Token || !time.Now().Before(s.until):
		return nil, protocol.ErrLeaseLost
	}
	return s, nil
}

func (b *fakeBackend) LeaseDurable(_ context.Context, limit int, lease time.Duration, unconfirmed bool) (list []protocol.Durable, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for _, s := range b.subs {
		wanted := s.d.Subscription.Confirmed || unconfirmed || s.d.Confirm || s.d.Resends
		if len(list) < limit && wanted && !now.Before(s.until) && b.fail == nil {
			s.until = now.Add(lease)
			s.d.Token++
			d := s.d
			d.Wait = max(0, s.nextTry.Sub(now))
			list = append(list, d)
		}
	}
	b.touch()
	return list, b.fail
}

func (b *fakeBackend) RenewDurable(_ context.Context, leases []protocol.Lease, lease time.Duration) (states []protocol.DurableState, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range leases {
		if s, err := b.held(l); err == nil {
			s.until = time.Now().Add(lease)
			states = append(states, protocol.DurableState{ID: l.ID, Version: s.d.Version})
		}
	}
	return states, b.fail
}

func (b *fakeBackend) ReadDurable(_ context.Context, l protocol.Lease) (*protocol.Durable, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.held(l)
	if err != nil {
		return nil, err
	}
	d := s.d
	return &d, nil
}

func (b *fakeBackend) ReleaseDurable(_ context.Context, leases []protocol.Lease) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range leases {
		if s, err := b.held(l); err == nil {
			s.until = time.Time{}
		}
	}
	b.touch()
	return b.fail
}

func (b *fakeBackend) SaveProgress(_ context.Context, l protocol.Lease, p protocol.Progress) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.held(l)
	if err != nil {
		return err
	}
	s.save(p)
	b.touch()
	return nil
}

func (s *fakeSub) save(p protocol.Progress) {
	s.progress = p
	s.d.QueueID, s.d.Cursor, s.d.Attempts = p.QueueID, p.Cursor, p.Attempts
	s.nextTry = time.Now().Add(p.Wait)
}

func (b *fakeBackend) BuryDelivery(_ context.Context, l protocol.Lease, p protocol.Progress, dead protocol.DeadDelivery) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.held(l)
	if err != nil {
		return err
	}
	s.save(p)
	dead.ID = int64(len(s.dead) + 1)
	s.dead = append(s.dead, dead)
	b.touch()
	return nil
}

func (b *fakeBackend) ConfirmationSent(_ context.Context, l protocol.Lease) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.held(l)
	if err == nil {
		s.d.Confirm = false
		b.touch()
	}
	return err
}

func (b *fakeBackend) PendingResends(_ context.Context, l protocol.Lease, limit int) (list []protocol.DeadDelivery, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.held(l)
	if err != nil {
		return nil, err
	}
	for _, dead := range s.dead {
		if dead.Resend && len(list) < limit {
			list = append(list, dead)
		}
	}
	return list, nil
}

func (b *fakeBackend) FinishResend(_ context.Context, l protocol.Lease, id int64, delivered bool, reason string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.held(l)
	if err != nil {
		return err
	}
	for i := range s.dead {
		if s.dead[i].ID != id {
			continue
		}
		s.dead[i].Resend, s.dead[i].Reason = false, reason
		if delivered {
			s.dead = append(s.dead[:i], s.dead[i+1:]...)
		}
		break
	}
	b.touch()
	return nil
}

func (b *fakeBackend) Queue(_ context.Context, key protocol.QueueKey) (*protocol.Queue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := b.names[key]
	switch {
	case b.fail != nil:
		return nil, b.fail
	case id == 0:
		return nil, protocol.ErrNoQueue
	}
	return &protocol.Queue{QueueKey: key, ID: id}, nil
}

func (b *fakeBackend) Feed(_ context.Context, _ protocol.QueueKey, id, cursor int64, rows, bytes int) (protocol.FeedPage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[id]
	b.reads++
	switch {
	case b.fail != nil:
		b.failed++
		b.touch()
		return protocol.FeedPage{}, b.fail
	case q == nil:
		return protocol.FeedPage{}, protocol.ErrNoQueue
	}
	page := protocol.FeedPage{Head: protocol.Head{QueueID: id, Last: q.head}, Upto: q.head}
	if q.expired > cursor {
		page.Gaps = []protocol.Gap{{From: cursor + 1, To: q.expired, Reason: protocol.GapExpired}}
	}
	for _, m := range q.messages {
		if m.Seq <= max(cursor, q.expired) {
			continue
		}
		if len(page.Messages) == rows || bytes <= 0 {
			page.Upto = page.Messages[len(page.Messages)-1].Seq
			break
		}
		bytes -= len(m.Body)
		page.Messages = append(page.Messages, m)
	}
	return page, nil
}

func (b *fakeBackend) Heads(_ context.Context, ids []int64) (map[int64]int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	heads := make(map[int64]int64)
	for _, id := range ids {
		if q := b.queues[id]; q != nil {
			heads[id] = q.head
		}
	}
	return heads, b.fail
}
