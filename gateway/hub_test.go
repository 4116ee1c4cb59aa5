package gateway

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/nusku-messaging/nusku/protocol"
)

// inBubble runs test with a hub in a synctest bubble: settle waits until nothing moves any more.
func inBubble(t *testing.T, cfg PushConfig, test func(t *testing.T, h *testHub)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newTestHub(t, cfg)
		defer h.stop()
		test(t, h)
	})
}

func settle() { synctest.Wait() }

func TestLocalCommitsArePushedFromMemory(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		h.postRemote(testKey, 5)
		sink, _ := h.sub(testKey)
		h.postLocal(testKey, 3)
		settle()
		h.postLocal(testKey, 1)
		settle()
		wantSeqs(t, sink.pushes(), 1, 6, 9)
		if h.store.reads != 0 {
			t.Errorf("%d reads of the database, want none", h.store.reads)
		}
	})
}

func TestNothingIsPushedBeforeTheReply(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		sink := newTestSink(t)
		s := h.register(testKey, sink, 0)
		h.postLocal(testKey, 3)
		settle()
		if got := sink.pushes(); len(got) != 0 {
			t.Fatalf("%v pushed before the subscription was open", got)
		}
		s.open()
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 3)
	})
}

func TestCommitBetweenHeadAndRegistration(t *testing.T) {
	for _, others := range []bool{false, true} {
		t.Run(fmt.Sprintf("others=%v", others), func(t *testing.T) {
			inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
				if others {
					h.sub(testKey)
				}
				head := protocol.Head{QueueID: 1}
				h.postLocal(testKey, 4)
				settle()
				sink := newTestSink(t)
				s := h.registerAt(testKey, sink, 0, head)
				s.open()
				h.postLocal(testKey, 2)
				settle()
				wantSeqs(t, sink.pushes(), 1, 1, 6)
			})
		})
	}
}

func TestRemoteCommitsByWake(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		sink, _ := h.sub(testKey)
		h.postRemote(testKey, 3)
		h.wakeRemote(testKey)
		h.wakeRemote(testKey)
		settle()
		h.postLocal(testKey, 2)
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 5)
		if h.store.reads > 2 {
			t.Errorf("%d reads for one wake", h.store.reads)
		}
	})
}

func TestLocalCommitAfterAnUnknownRemoteOne(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		sink, _ := h.sub(testKey)
		h.postRemote(testKey, 3)
		h.postLocal(testKey, 2) // says by its number that something is missing
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 5)
	})
}

func TestCommitsOutOfOrder(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		h.store.setDown(errDown)
		h.store.mu.Lock()
		h.store.makeLocked(testKey)
		h.store.mu.Unlock()
		sink := newTestSink(t)
		h.registerAt(testKey, sink, 0, protocol.Head{QueueID: 1}).open()
		first, second, third := h.store.post(testKey, 2), h.store.post(testKey, 2), h.store.post(testKey, 2)
		h.committed(second)
		h.committed(third)
		h.committed(first)
		h.committed(second)
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 6) // the database was not needed
		h.store.setDown(nil)
	})
}

var errDown = errors.New("database away")

func TestLostWakesAreFoundByThePoll(t *testing.T) {
	cfg := quietConfig()
	cfg.PollInterval = time.Second
	inBubble(t, cfg, func(t *testing.T, h *testHub) {
		sink, _ := h.sub(testKey)
		h.postRemote(testKey, 3)
		settle()
		if len(sink.pushes()) != 0 {
			t.Fatal("nobody could know of these")
		}
		time.Sleep(cfg.PollInterval)
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 3)
	})
}

func TestPollDoesNotReadWhatIsKnown(t *testing.T) {
	cfg := quietConfig()
	cfg.PollInterval = time.Second
	inBubble(t, cfg, func(t *testing.T, h *testHub) {
		h.sub(testKey)
		h.postLocal(testKey, 3)
		time.Sleep(10 * cfg.PollInterval)
		settle()
		if h.store.reads != 0 || h.store.polls != 10 {
			t.Errorf("%d reads and %d polls, want 0 and 10", h.store.reads, h.store.polls)
		}
	})
}

func TestReconnectedCatchesUpAtOnce(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		sink, _ := h.sub(testKey)
		other := protocol.QueueKey{Project: "p", Name: "other"}
		sink2, _ := h.sub(other)
		h.postRemote(testKey, 3)
		h.postRemote(other, 2)
		h.reconnected()
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 3)
		wantSeqs(t, sink2.pushes(), 2, 1, 2)
	})
}

func TestFailedReadsAreTriedAgain(t *testing.T) {
	cfg := quietConfig()
	cfg.PollInterval = time.Second
	inBubble(t, cfg, func(t *testing.T, h *testHub) {
		sink, _ := h.sub(testKey)
		h.store.setDown(errDown)
		h.postRemote(testKey, 3)
		h.wakeRemote(testKey)
		time.Sleep(3 * cfg.PollInterval)
		settle()
		if n := h.store.reads; n > 5 {
			t.Errorf("%d reads of a database that is away", n)
		}
		h.store.setDown(nil)
		time.Sleep(cfg.PollInterval)
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 3)
	})
}

func TestGapsTellWhatIsMissing(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		sink, _ := h.sub(testKey)
		h.postRemote(testKey, 10)
		h.store.take(testKey, 1, 2, protocol.GapExpired)
		h.store.take(testKey, 3, 3, protocol.GapPurged)
		h.store.take(testKey, 6, 7, "") // nobody says why
		h.store.take(testKey, 10, 10, protocol.GapConsumed)
		h.wakeRemote(testKey)
		settle()
		want := []push{
			{gap: protocol.Gap{From: 1, To: 2, Reason: protocol.GapExpired}},
			{gap: protocol.Gap{From: 3, To: 3, Reason: protocol.GapPurged}},
			{id: 1, seq: 4}, {id: 1, seq: 5},
			{gap: protocol.Gap{From: 6, To: 7, Reason: protocol.GapConsumed}},
			{id: 1, seq: 8}, {id: 1, seq: 9},
			{gap: protocol.Gap{From: 10, To: 10, Reason: protocol.GapConsumed}},
		}
		if got := sink.pushes(); !slices.Equal(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	})
}

func TestGapIsSplitAtTheSubscribersCursor(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		early, _ := h.sub(testKey)
		h.postRemote(testKey, 4)
		head, err := h.store.Head(t.Context(), testKey)
		if err != nil {
			t.Fatal(err)
		}
		h.store.mu.Lock()
		h.store.queues[testKey].head = 9
		h.store.mu.Unlock()
		h.store.take(testKey, 3, 8, protocol.GapExpired)
		late := newTestSink(t)
		s := h.registerAt(testKey, late, 0, head) // at 4, while the feed is still at 0
		h.wakeRemote(testKey)
		s.open()
		settle()
		want := []push{{gap: protocol.Gap{From: 5, To: 8, Reason: protocol.GapExpired}}, {id: 1, seq: 9}}
		if got := late.pushes(); !slices.Equal(got, want) {
			t.Errorf("late: got %v, want %v", got, want)
		}
		want = []push{{id: 1, seq: 1}, {id: 1, seq: 2}, {gap: protocol.Gap{From: 3, To: 8, Reason: protocol.GapExpired}}, {id: 1, seq: 9}}
		if got := early.pushes(); !slices.Equal(got, want) {
			t.Errorf("early: got %v, want %v", got, want)
		}
	})
}

// smallConfig makes subscribers fall behind after a few messages.
func smallConfig() PushConfig {
	cfg := quietConfig()
	cfg.RingBytes, cfg.TotalRingBytes = 4<<10, 16<<10
	cfg.ChunkBytes, cfg.PageRows, cfg.PageBytes, cfg.TotalPageBytes = 1<<10, 7, 4<<10, 16<<10
	return cfg
}

func TestSlowSubscriberLagsAndLosesNothing(t *testing.T) {
	inBubble(t, smallConfig(), func(t *testing.T, h *testHub) {
		slow, _ := h.sub(testKey)
		fast, _ := h.sub(testKey)
		slow.stall(true)
		for range 300 {
			h.postLocal(testKey, 3)
			settle()
			wantSeqs(t, fast.pushes(), 1, 1, int64(len(fast.pushes())))
			if n := h.ringBytes.Load(); n > int64(h.cfg.TotalRingBytes) {
				t.Fatalf("ring holds %d bytes, more than %d", n, h.cfg.TotalRingBytes)
			}
		}
		wantSeqs(t, fast.pushes(), 1, 1, 900)
		if h.store.reads != 0 {
			t.Errorf("%d reads while the slow one takes nothing", h.store.reads)
		}
		slow.stall(false)
		settle()
		wantSeqs(t, slow.pushes(), 1, 1, 900)
		// Caught up, it takes from the ring again.
		reads := h.store.reads
		h.postLocal(testKey, 2)
		settle()
		wantSeqs(t, slow.pushes(), 1, 1, 902)
		if h.store.reads != reads {
			t.Errorf("%d reads after it has caught up", h.store.reads-reads)
		}
	})
}

func TestLaggingSubscribersSharePages(t *testing.T) {
	inBubble(t, smallConfig(), func(t *testing.T, h *testHub) {
		h.store.delay = time.Millisecond
		var sinks []*testSink
		for range 50 {
			sink, _ := h.sub(testKey)
			sink.stall(true)
			sinks = append(sinks, sink)
		}
		h.postLocal(testKey, 350)
		settle()
		for _, sink := range sinks {
			sink.stall(false)
		}
		time.Sleep(time.Second)
		settle()
		for _, sink := range sinks {
			wantSeqs(t, sink.pushes(), 1, 1, 350)
		}
		if n := h.store.reads; n > 100 {
			t.Errorf("%d reads for 50 subscribers and 50 pages: they are not shared", n)
		}
	})
}

func TestPagesOfStuckSubscribersMakeRoom(t *testing.T) {
	inBubble(t, smallConfig(), func(t *testing.T, h *testHub) {
		var stuck []*testSink
		const n = 40
		for i := range n {
			key := protocol.QueueKey{Name: fmt.Sprint(i)}
			sink, _ := h.sub(key)
			h.store.queues[key].size = 500
			sink.stall(true)
			h.postLocal(key, 20)
			stuck = append(stuck, sink)
		}
		settle()
		// Each asks for its page, and then its socket takes nothing any more.
		for i, sink := range stuck {
			for _, s := range h.feed(protocol.QueueKey{Name: fmt.Sprint(i)}).listNow() {
				s.next(nil, 1)
			}
			_ = sink
		}
		settle()
		if h.pages.bytes > h.cfg.TotalPageBytes || h.pages.bytes == 0 {
			t.Errorf("pages hold %d bytes of %d", h.pages.bytes, h.cfg.TotalPageBytes)
		}
		for i, sink := range stuck {
			sink.stall(false)
			settle()
			wantSeqs(t, sink.pushes(), int64(i+1), 1, 20)
		}
		for _, f := range h.allFeeds() {
			f.age(time.Now().Add(time.Hour))
		}
		if h.pages.bytes != 0 || h.pages.oldest != nil {
			t.Errorf("pages hold %d bytes after all were taken", h.pages.bytes)
		}
	})
}

func (f *feed) listNow() []*subscriber {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*subscriber
	for s := range f.members {
		list = append(list, s)
	}
	return list
}

func TestFeedFarBehindGoesToTheHead(t *testing.T) {
	inBubble(t, smallConfig(), func(t *testing.T, h *testHub) {
		sink, _ := h.sub(testKey)
		h.postRemote(testKey, 500)
		h.wakeRemote(testKey)
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 500)
		if n := h.store.reads; n > 500/h.cfg.PageRows+5 {
			t.Errorf("%d reads of %d messages in pages of %d", n, 500, h.cfg.PageRows)
		}
		h.postLocal(testKey, 1)
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 501)
	})
}

func TestOldFramesAreDroppedFromMemory(t *testing.T) {
	cfg := quietConfig()
	cfg.RingAge = time.Second
	inBubble(t, cfg, func(t *testing.T, h *testHub) {
		slow, _ := h.sub(testKey)
		slow.stall(true)
		h.postLocal(testKey, 3)
		time.Sleep(2 * cfg.RingAge)
		settle()
		if n := h.ringBytes.Load(); n != 0 {
			t.Errorf("ring holds %d bytes after its age", n)
		}
		slow.stall(false)
		settle()
		wantSeqs(t, slow.pushes(), 1, 1, 3)
	})
}

func TestQueueDeletedAndMadeAgain(t *testing.T) {
	// How the gateway learns of the deletion and of the new queue.
	for name, tell := range map[string]func(h *testHub){
		"local":      func(h *testHub) { h.queueChanged(testKey); settle(); h.postLocal(testKey, 2) },
		"local late": func(h *testHub) { h.postLocal(testKey, 2) },
		"hints":      func(h *testHub) { h.queueChanged(testKey); settle(); h.postRemote(testKey, 2); h.queueChanged(testKey) },
		"one hint":   func(h *testHub) { h.postRemote(testKey, 2); h.queueChanged(testKey) },
		"poll":       func(h *testHub) { h.postRemote(testKey, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := quietConfig()
			cfg.PollInterval = time.Second
			inBubble(t, cfg, func(t *testing.T, h *testHub) {
				sink, _ := h.sub(testKey)
				h.postLocal(testKey, 3)
				settle()
				h.store.delete(testKey)
				tell(h)
				time.Sleep(3 * cfg.PollInterval)
				settle()
				h.postLocal(testKey, 1)
				settle()
				want := []push{
					{id: 1, seq: 1}, {id: 1, seq: 2}, {id: 1, seq: 3},
					{gap: protocol.Gap{From: 4, To: 3, Reason: protocol.GapDeleted}},
					{id: 2, seq: 1}, {id: 2, seq: 2}, {id: 2, seq: 3},
				}
				if got := sink.pushes(); !slices.Equal(got, want) {
					t.Fatalf("got  %v\nwant %v", got, want)
				}
				if h.store.observed[2] == 0 {
					t.Error("the new queue is not observed")
				}
			})
		})
	}
}

func TestQueueDeletedIsNotMadeByItsSubscribers(t *testing.T) {
	cfg := quietConfig()
	cfg.PollInterval = time.Second
	inBubble(t, cfg, func(t *testing.T, h *testHub) {
		h.sub(testKey)
		h.store.delete(testKey)
		time.Sleep(5 * cfg.PollInterval)
		settle()
		if len(h.store.queues) != 0 {
			t.Error("a deleted queue came back by itself")
		}
	})
}

func TestDeletedGapTellsWhatWasMissed(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		sink, _ := h.sub(testKey)
		h.postLocal(testKey, 2)
		settle()
		sink.stall(true)
		h.postLocal(testKey, 5)
		h.store.delete(testKey)
		h.queueChanged(testKey)
		settle()
		sink.stall(false)
		settle()
		want := push{gap: protocol.Gap{From: 3, To: 7, Reason: protocol.GapDeleted}}
		if got := sink.pushes(); got[len(got)-1] != want || len(got) != 3 {
			t.Fatalf("got %v, want two messages and %v", got, want)
		}
	})
}

func TestSubscribedToAQueueThatEndsMeanwhile(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		h.sub(testKey)
		h.postLocal(testKey, 3)
		head := protocol.Head{QueueID: 1, Last: 3}
		h.store.delete(testKey)
		h.postLocal(testKey, 1)
		settle()
		sink := newTestSink(t)
		h.registerAt(testKey, sink, 0, head).open()
		settle()
		want := []push{{gap: protocol.Gap{From: 4, To: 3, Reason: protocol.GapDeleted}}, {id: 2, seq: 1}}
		if got := sink.pushes(); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestSubscriptionExpires(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		sink := newTestSink(t)
		id := uuid.New()
		list := &sessionSubs{}
		head := protocol.Head{QueueID: 1}
		h.postRemote(testKey, 0)
		s, _ := h.subscribe(subscription{id: id, key: testKey, head: head, ttl: time.Minute, session: list, sink: sink})
		s.open()
		other, _ := h.sub(testKey)
		h.postLocal(testKey, 1)
		time.Sleep(61 * time.Second)
		settle()
		h.postLocal(testKey, 1)
		settle()
		want := []push{{id: 1, seq: 1}, {gap: protocol.Gap{From: 2, To: 1, Reason: protocol.GapSubscriptionExpired}}}
		if got := sink.pushes(); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		wantSeqs(t, other.pushes(), 1, 1, 2)
		if len(list.list()) != 0 || len(h.subs) != 1 {
			t.Error("the subscription that ended is still known")
		}
		if len(h.store.ended) != 1 || h.store.ended[0][0] != id {
			t.Errorf("rows deleted: %v", h.store.ended)
		}
	})
}

func TestLastSubscriberFreesTheFeed(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		_, a := h.sub(testKey)
		_, b := h.sub(testKey)
		h.postLocal(testKey, 3)
		settle()
		h.remove(a)
		h.remove(a)
		if len(h.feeds) != 1 {
			t.Fatal("the feed went with its first subscriber")
		}
		h.remove(b)
		if len(h.feeds)+len(h.byID)+len(h.subs)+len(h.expiry.heap) != 0 || h.ringBytes.Load() != 0 {
			t.Errorf("left: %d feeds, %d ids, %d subscribers, %d expiries, %d bytes",
				len(h.feeds), len(h.byID), len(h.subs), len(h.expiry.heap), h.ringBytes.Load())
		}
		h.postLocal(testKey, 1)
		settle()
		if h.ringBytes.Load() != 0 {
			t.Error("a commit nobody wants was kept")
		}
	})
}

func TestClosedSessionsRowsGoInBatches(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		lists := make([]*sessionSubs, 5000)
		for i := range lists {
			lists[i] = &sessionSubs{}
			head := protocol.Head{QueueID: 1}
			h.subscribe(subscription{id: uuid.New(), key: testKey, head: head, ttl: time.Hour, session: lists[i], sink: newTestSink(t)})
		}
		h.store.delay = time.Millisecond
		for _, l := range lists {
			h.closeSession(l)
		}
		time.Sleep(time.Second)
		settle()
		rows := 0
		for _, ids := range h.store.ended {
			rows += len(ids)
		}
		if rows != 5000 || len(h.store.ended) > 10 {
			t.Errorf("%d rows in %d statements", rows, len(h.store.ended))
		}
		if s, full := h.subscribe(subscription{id: uuid.New(), key: testKey, session: lists[0], sink: newTestSink(t)}); s != nil || full {
			t.Error("a closed session was subscribed")
		}
		if len(h.feeds) != 0 {
			t.Error("a feed is left")
		}
	})
}

func TestRowsAreDeletedOnceTheDatabaseIsBack(t *testing.T) {
	cfg := quietConfig()
	cfg.PollInterval = time.Second
	inBubble(t, cfg, func(t *testing.T, h *testHub) {
		list := &sessionSubs{}
		h.subscribe(subscription{id: uuid.New(), key: testKey, ttl: time.Hour, session: list, sink: newTestSink(t)})
		h.store.setDown(errDown)
		h.closeSession(list)
		time.Sleep(5 * time.Second)
		h.store.setDown(nil)
		time.Sleep(2 * time.Second)
		settle()
		if len(h.store.ended) != 1 {
			t.Errorf("rows deleted: %v", h.store.ended)
		}
	})
}

func TestStopDeletesRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newTestHub(t, quietConfig())
		h.ended.ids = append(h.ended.ids, uuid.New()) // nobody was woken for it
		h.stop()
		if len(h.store.ended) != 1 {
			t.Error("the row was left")
		}
	})
}

func TestSubscriptionsOfASessionAreBounded(t *testing.T) {
	cfg := quietConfig()
	cfg.SessionSubscriptions = 2
	inBubble(t, cfg, func(t *testing.T, h *testHub) {
		list := &sessionSubs{}
		for i := range 3 {
			key := protocol.QueueKey{Name: fmt.Sprint(i)}
			s, full := h.subscribe(subscription{id: uuid.New(), key: key, session: list, sink: newTestSink(t), ttl: time.Hour})
			if (s == nil) != (i == 2) || full != (i == 2) {
				t.Errorf("subscription %d: %v, full %v", i, s != nil, full)
			}
		}
		if len(h.feeds) != 2 {
			t.Errorf("%d feeds", len(h.feeds))
		}
	})
}

func TestPushesFollowTheNewestSubscriptionsCodec(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		sink := newTestSink(t)
		list := &sessionSubs{}
		s, _ := h.subscribe(subscription{id: uuid.New(), key: testKey, head: protocol.Head{QueueID: 1}, ttl: time.Hour, session: list, sink: sink})
		s.open()
		h.postLocal(testKey, 1)
		settle()
		sink.stall(true)
		h.postLocal(testKey, 2) // these are encoded as JSON only
		h.setEncoding(list, encodingOf(protocol.MessagePack, true))
		h.postLocal(testKey, 2)
		settle()
		sink.stall(false)
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 5)
		if sink.raw[0]&15 != opBinary {
			t.Error("the last pushes are not binary")
		}
	})
}

func TestDropBySession(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		mine, s := h.sub(testKey)
		h.drop(protocol.QueueKey{Project: "other", Name: "q"}, s.id, s.session)
		h.postLocal(testKey, 1)
		settle()
		h.drop(testKey, s.id, s.session)
		theirs, o := h.sub(testKey)
		h.drop(testKey, o.id, s.session)
		settle()
		h.postLocal(testKey, 1)
		settle()
		wantSeqs(t, mine.pushes(), 1, 1, 1)
		want := []push{{gap: protocol.Gap{From: 2, To: 1, Reason: protocol.GapSubscriptionEnded}}}
		if got := theirs.pushes(); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if len(h.subs) != 0 {
			t.Error("a subscription is left")
		}
	})
}

func TestPurgedSubscriptionsEnd(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		sink, _ := h.sub(testKey)
		h.dropQueue(testKey)
		settle()
		if got := sink.pushes(); len(got) != 1 || got[0].gap.Reason != protocol.GapSubscriptionEnded {
			t.Errorf("got %v", got)
		}
		if len(h.feeds) != 0 {
			t.Error("the feed is left")
		}
	})
}

// TestSubscriptionsDeletedElsewhereEnd checks that subscribers whose row another gateway has deleted are told, with a
// hint at once and without one after a while.
func TestSubscriptionsDeletedElsewhereEnd(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		want := []push{{gap: protocol.Gap{From: 1, To: 0, Reason: protocol.GapSubscriptionEnded}}}
		stays, _ := h.sub(testKey)
		for hint, tell := range map[string]func(){
			"named":  func() { h.subscriptionsEnded(testKey) },
			"all":    h.reconnected,
			"nobody": func() { time.Sleep(h.cfg.ObserveInterval) },
		} {
			sink, s := h.sub(testKey)
			h.store.mu.Lock()
			h.store.deleted[s.id] = true
			h.store.mu.Unlock()
			tell()
			settle()
			if got := sink.pushes(); !slices.Equal(got, want) {
				t.Errorf("hint %s: got %v, want %v", hint, got, want)
			}
		}
		h.postLocal(testKey, 1)
		settle()
		wantSeqs(t, stays.pushes(), 1, 1, 1)
		if len(h.subs) != 1 {
			t.Error("a subscription is left")
		}
	})
}

// TestSubscribedAgainBeforeTheEndIsKnown checks that a socket that subscribes again, while its old subscription is
// over but nobody here knows, gets each message once.
func TestSubscribedAgainBeforeTheEndIsKnown(t *testing.T) {
	inBubble(t, quietConfig(), func(t *testing.T, h *testHub) {
		sink := newTestSink(t)
		list := &sessionSubs{}
		open := func(head int64) {
			s, _ := h.subscribe(subscription{id: uuid.New(), key: testKey, head: protocol.Head{QueueID: 1, Last: head},
				ttl: time.Minute, session: list, sink: sink})
			s.open()
		}
		h.postRemote(testKey, 0)
		open(0)
		h.postLocal(testKey, 2)
		settle()
		open(1) // a head that is older than what was pushed
		h.postLocal(testKey, 2)
		settle()
		wantSeqs(t, sink.pushes(), 1, 1, 4)
		if len(list.list()) != 1 || len(h.subs) != 1 {
			t.Error("the subscription that ended is still known")
		}
	})
}

func TestObserveIsRenewed(t *testing.T) {
	cfg := quietConfig()
	cfg.ObserveInterval = 20 * time.Second
	inBubble(t, cfg, func(t *testing.T, h *testHub) {
		h.sub(testKey)
		time.Sleep(time.Minute + time.Second)
		settle()
		if n := h.store.observed[1]; n != 4 {
			t.Errorf("observed %d times in a minute, want 4", n)
		}
	})
}

// TestFeedModel plays random histories of commits, wakes, joins, stalls, losses and deletions, and checks what every
// subscriber got against the history.
func TestFeedModel(t *testing.T) {
	t.Parallel()
	step := rapid.Custom(func(rt *rapid.T) modelStep {
		return modelStep{what: rapid.IntRange(0, 9).Draw(rt, "what"), n: rapid.IntRange(1, 9).Draw(rt, "n"),
			which: rapid.IntRange(0, 99).Draw(rt, "which")}
	})
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(step, 1, 60).Draw(rt, "steps")
		var fault string
		synctest.Test(t, func(t *testing.T) {
			cfg := smallConfig()
			cfg.PollInterval = time.Second
			m := &feedModel{h: newTestHub(t, cfg)}
			for _, s := range steps {
				m.step(s)
			}
			fault = m.check()
			m.h.stop()
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

type modelStep struct{ what, n, which int }

type feedModel struct {
	h    *testHub
	subs []modelSub
	late []protocol.Committed
}

type modelSub struct {
	sink *testSink
	head protocol.Head
}

func (m *feedModel) step(s modelStep) {
	h, n := m.h, s.n
	switch s.what {
	case 0, 1, 2:
		h.postLocal(testKey, n)
	case 3:
		h.postRemote(testKey, n)
	case 4:
		h.postRemote(testKey, n)
		h.wakeRemote(testKey)
	case 5: // told late, in any order, or never
		m.late = append(m.late, h.store.post(testKey, n)...)
		if n > 3 {
			h.committed(m.late[s.which%len(m.late):][:1])
		}
	case 6:
		head, _ := h.store.Head(h.ctx, testKey)
		sink := newTestSink(h.t)
		h.postLocal(testKey, n)
		h.registerAt(testKey, sink, encoding(n%encodings), head).open()
		m.subs = append(m.subs, modelSub{sink, head})
	case 7:
		if len(m.subs) > 0 {
			m.subs[s.which%len(m.subs)].sink.stall(n%2 == 0)
		}
	case 8:
		settle()
	case 9:
		if h.store.queues[testKey] != nil && s.which < 30 {
			h.store.delete(testKey)
			h.queueChanged(testKey)
		}
	}
}

// check lets everything come to rest and says what is wrong.
func (m *feedModel) check() string {
	m.h.postLocal(testKey, 1)
	for _, s := range m.subs {
		s.sink.stall(false)
	}
	time.Sleep(3 * m.h.cfg.PollInterval)
	settle()
	q := m.h.store.queues[testKey]
	for i, s := range m.subs {
		id, next := s.head.QueueID, s.head.Last+1
		for _, p := range s.sink.pushes() {
			switch {
			case p.gap.Reason == protocol.GapDeleted && p.gap.From == next:
				id, next = 0, 1
			case id == 0 && p.seq == 1 && p.id > s.head.QueueID:
				id, next = p.id, 2
			case p.id == id && p.seq == next:
				next++
			default:
				return fmt.Sprintf("subscriber %d: %+v, want message %d of queue %d; all: %v", i, p, next, id, s.sink.pushes())
			}
		}
		if id != q.id || next != q.head+1 {
			return fmt.Sprintf("subscriber %d ended before message %d of queue %d, want after %d of %d", i, next, id, q.head, q.id)
		}
	}
	if n := m.h.ringBytes.Load(); n > int64(m.h.cfg.TotalRingBytes) {
		return fmt.Sprintf("rings hold %d bytes", n)
	}
	return ""
}

// TestSeamUnderLoad subscribes while other goroutines commit, for the race detector's sake too.
func TestSeamUnderLoad(t *testing.T) {
	t.Parallel()
	cfg := smallConfig()
	cfg.PollInterval = 10 * time.Millisecond
	h := newTestHub(t, cfg)
	const producers, posts, subscribers = 4, 200, 40
	var work sync.WaitGroup
	var commit sync.Mutex // as in a store, where commits are told in their order, but for the remote ones
	for p := range producers {
		work.Go(func() {
			for range posts {
				commit.Lock()
				batch := h.store.post(testKey, 1+rand.IntN(3))
				if p > 0 {
					h.committed(batch)
				}
				commit.Unlock()
			}
		})
	}
	type joined struct {
		sink *testSink
		head protocol.Head
	}
	subs := make([]joined, subscribers)
	for i := range subs {
		work.Go(func() {
			head, _ := h.store.Head(h.ctx, testKey)
			sink := newTestSink(t)
			s := h.registerAt(testKey, sink, encoding(i%encodings), head)
			s.open()
			subs[i] = joined{sink, head}
		})
	}
	work.Wait()
	last := h.store.queues[testKey].head
	for _, s := range subs {
		s.sink.await(int(last - s.head.Last))
		wantSeqs(t, s.sink.pushes(), 1, s.head.Last+1, last)
	}
	h.stop()
}
