package store

import (
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// batch is what one flush stores.
type batch struct {
	parts     []*part // one per queue
	rows      int
	bytes     int
	refused   []refusal // taken, but not to be stored
	stored    []posting // memory of settle
	deadlocks int
	spare     []*part // memory of parts
}

func (b *batch) reset() {
	for _, pt := range b.parts {
		clear(pt.posts)
	}
	b.spare = append(b.spare, b.parts...)
	if len(b.spare) > maxSpareParts {
		b.spare = b.spare[:maxSpareParts]
	}
	clear(b.parts)
	clear(b.refused)
	clear(b.stored)
	b.parts, b.refused, b.stored = b.parts[:0], b.refused[:0], b.stored[:0]
	b.rows, b.bytes, b.deadlocks = 0, 0, 0
}

// maxSpareParts bounds the memory that an idle flusher keeps.
const maxSpareParts = 64

// add puts a post into its lane's part.
func (b *batch) add(ln *lane, info *queueInfo, w posting) {
	if ln.part == nil {
		ln.part = b.newPart()
		*ln.part = part{lane: ln, info: info, posts: ln.part.posts[:0], inboxIDs: ln.part.inboxIDs[:0]}
		b.parts = append(b.parts, ln.part)
	}
	ln.part.posts = append(ln.part.posts, w)
	for i := range w.post.Messages {
		ln.part.count(&w.post.Messages[i])
	}
	b.rows += w.rows
	b.bytes += w.bytes
}

func (b *batch) newPart() *part {
	if n := len(b.spare); n > 0 {
		pt := b.spare[n-1]
		b.spare = b.spare[:n-1]
		return pt
	}
	return &part{}
}

// part is a flush's part in one queue.
type part struct {
	lane  *lane
	info  *queueInfo
	posts []posting

	numbered int // messages that get a number now
	delayed  int // messages that go to the inbox

	// found says that the counter row was there, so that the messages were stored; base is the first one's number, and
	// inboxIDs are the ids of those in the inbox.
	found    bool
	base     int64
	inboxIDs []int64
}

// times returns a message's delay and TTL in seconds with the queue's defaults filled in.
func (q *queueInfo) times(m *protocol.NewMessage) (delay, ttl int32) {
	delay, ttl = m.Delay, m.TTL
	if delay < 0 {
		delay = q.defaultDelay
	}
	if ttl < 0 {
		ttl = q.defaultTTL
	}
	return delay, ttl
}

func (pt *part) count(m *protocol.NewMessage) {
	if delay, _ := pt.info.times(m); delay > 0 {
		pt.delayed++
	} else {
		pt.numbered++
	}
}

// split cuts a part in two of half the posts each, in order.
func (pt *part) split() (first, second *part) {
	half := len(pt.posts) / 2
	cut := func(posts []posting) *part {
		p := &part{lane: pt.lane, info: pt.info, posts: posts}
		for i := range posts {
			for j := range posts[i].post.Messages {
				p.count(&posts[i].post.Messages[j])
			}
		}
		return p
	}
	return cut(pt.posts[:half:half]), cut(pt.posts[half:])
}

// assign gives the posts of a stored part their ids. It returns the shortest delay, negative if there is none.
func (pt *part) assign() time.Duration {
	var due time.Duration = -1
	seq, inbox := pt.base, pt.inboxIDs
	for i := range pt.posts {
		post := pt.posts[i].post
		post.IDs = post.IDs[:0]
		if cap(post.IDs) < len(post.Messages) {
			post.IDs = make([]protocol.MessageID, 0, len(post.Messages))
		}
		for j := range post.Messages {
			id := protocol.MessageID{Queue: pt.info.id}
			if delay, _ := pt.info.times(&post.Messages[j]); delay > 0 {
				id.N, id.Inbox, inbox = inbox[0], true, inbox[1:]
				due = earlier(due, time.Duration(delay)*time.Second)
			} else {
				id.N = seq
				seq++
			}
			post.IDs = append(post.IDs, id)
		}
	}
	return due
}

// teller tells waiters of the end of their posts. Its memory is reused.
type teller struct {
	waiters []protocol.Waiter
	seen    map[protocol.Waiter]struct{}
}

// tell ends the posts of one batch with err: first all are done, then each distinct waiter may write.
func (t *teller) tell(posts []posting, err error) {
	t.waiters = t.waiters[:0]
	for i := range posts {
		post := posts[i].post
		if err != nil {
			post.IDs = nil
		}
		post.Err = err
		w := post.Waiter // once it is done, the post is its owner's again
		t.waiters = append(t.waiters, w)
		w.Done()
	}
	t.flush()
}

func (t *teller) flush() {
	if t.seen == nil {
		t.seen = make(map[protocol.Waiter]struct{})
	}
	for i, w := range t.waiters {
		t.waiters[i] = nil
		if _, twice := t.seen[w]; !twice {
			t.seen[w] = struct{}{}
			w.Flush()
		}
	}
	clear(t.seen)
}

// refuse ends posts, each with its own error.
func (t *teller) refuse(refused []refusal) {
	t.waiters = t.waiters[:0]
	for _, r := range refused {
		post := r.post
		post.IDs, post.Err = nil, r.err
		w := post.Waiter
		t.waiters = append(t.waiters, w)
		w.Done()
	}
	t.flush()
}
