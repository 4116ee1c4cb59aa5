package notifier

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestPendingMerges(t *testing.T) {
	t.Parallel()
	p := newPending(10)
	key := protocol.QueueKey{Project: "p", Name: "q"}
	p.wake(1, 5)
	p.wake(1, 9)
	p.wake(1, 7)
	p.release(1, 9)
	p.release(1, 3)
	p.release(1, 4)
	p.change(key, 1)
	p.change(key, 1)
	p.end(key)
	p.end(key)
	taken := p.take()
	want := []hint{
		{kind: kindChanged, queueID: 1, key: key},
		{kind: kindSubscriptions, key: key},
		{kind: kindWake, queueID: 1, n: 9},
		{kind: kindReleased, queueID: 1, n: 3},
	}
	if diff := cmp.Diff(want, taken.hints(), allowHint); diff != "" {
		t.Error(diff)
	}
	if again := p.take(); len(again.hints()) != 0 {
		t.Errorf("taken twice: %v", again.hints())
	}
	// What could not be sent must not hide what came after it.
	p.wake(1, 12)
	p.release(1, 8)
	p.putBack(taken)
	want[2].n = 12
	taken = p.take()
	if diff := cmp.Diff(want, taken.hints(), allowHint); diff != "" {
		t.Error(diff)
	}
}

func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	p := newPending(100)
	p.greet()
	for i := range int64(1000) {
		p.wake(i+1, 1)
		if p.size() > 100 {
			t.Fatalf("%d hints wait, at most 100 may", p.size())
		}
	}
	want := []hint{{kind: kindHello}, {kind: kindEverything}}
	taken := p.take()
	if diff := cmp.Diff(want, taken.hints(), allowHint); diff != "" {
		t.Error(diff)
	}
	p.wake(1, 1)
	if taken = p.take(); taken.everything {
		t.Error("everything stays after it was taken")
	}
}

func TestPeers(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	now := time.Unix(0, 0)
	after := func(d time.Duration) time.Time { now = now.Add(d); return now }
	p := newPeers(interval)
	expect := func(alone bool, when string) {
		t.Helper()
		if p.alone() != alone {
			t.Errorf("%s: alone = %t", when, p.alone())
		}
	}
	expect(false, "before LISTEN")
	p.setListening(true, now)
	expect(false, "just listening")
	p.tick(after(interval))
	expect(false, "after one interval")
	p.tick(after(interval))
	expect(true, "after two silent intervals")

	other := uuid.New()
	if !p.hear(other, now) {
		t.Error("a newcomer is not unknown")
	}
	expect(false, "another gateway was heard")
	if p.hear(other, after(3*interval)) {
		t.Error("heard before, and yet unknown")
	}
	p.tick(after(3 * interval))
	expect(false, "three intervals after the last hello")
	p.tick(after(1))
	expect(true, "more than three intervals after the last hello")

	p.setListening(false, now)
	expect(false, "the listener is down")
	p.tick(after(10 * interval))
	expect(false, "the listener is still down")
}

func TestPeersAreBounded(t *testing.T) {
	t.Parallel()
	p := newPeers(time.Second)
	now := time.Unix(0, 0)
	for range maxPeers + 10 {
		p.hear(uuid.New(), now)
	}
	if len(p.heard) != maxPeers {
		t.Errorf("remembers %d gateways", len(p.heard))
	}
}
