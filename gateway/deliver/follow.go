package deliver

import (
	"errors"
	"strconv"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// noticeOverhead is about what a notice and its request cost beside the message's body.
const noticeOverhead = 1 << 10

// follow sends one page of what lies behind the cursor.
func (r *run) follow() verdict {
	if time.Now().Before(r.notBefore) {
		return pause
	}
	if v := r.bind(); v != goOn {
		return v
	}
	if !r.reserve() {
		r.notBefore = time.Now().Add(largePause)
		return pause
	}
	page, v := r.read()
	if v != goOn {
		return v
	}
	for i, n := range notices(r.d.QueueID, &page) {
		if i > 0 && r.lasted() {
			return more
		}
		if v := r.deliver(n); v != goOn {
			return v
		}
	}
	r.settle(page.Upto)
	if page.Upto < page.Head.Last {
		return more
	}
	r.unhint()
	return done
}

// bind finds the queue of a stream that has none.
func (r *run) bind() verdict {
	if r.d.QueueID != 0 {
		return goOn
	}
	ctx, cancel := r.query()
	defer cancel()
	q, err := r.e.backend.Queue(ctx, r.key)
	switch {
	case errors.Is(err, protocol.ErrNoQueue):
		return done
	case err != nil:
		return r.failed(err, "look for a queue")
	case q.ID <= r.lastGone:
		return done // out of date: that one is gone
	}
	r.setQueue(q.ID)
	return goOn
}

// setQueue has the stream follow a queue from its beginning; 0 is none.
func (r *run) setQueue(id int64) {
	r.d.QueueID, r.d.Cursor, r.d.Attempts = id, 0, 0
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.e.unwatch(r.stream)
	r.queueID, r.cursor, r.head, r.hinted = id, 0, 0, 0
	r.e.watch(r.stream)
}

// read reads the next page. What is not known to be well gets one message at a time, so that those that fail hold little.
func (r *run) read() (protocol.FeedPage, verdict) {
	rows, bytes := 1, 1
	if r.slot.lane == laneWell {
		rows, bytes = r.e.cfg.PageRows, r.e.cfg.PageBytes
	}
	r.held = min(2*(bytes+noticeOverhead), 2*r.e.cfg.PageBytes)
	if err := r.slot.memory().take(r.ctx, r.held); err != nil {
		r.held = 0
		return protocol.FeedPage{}, done
	}
	ctx, cancel := r.query()
	defer cancel()
	page, err := r.e.backend.Feed(ctx, r.key, r.d.QueueID, r.d.Cursor, rows, bytes)
	switch {
	case errors.Is(err, protocol.ErrNoQueue):
		return page, r.gone()
	case err != nil:
		return page, r.failed(err, "read a queue")
	}
	held := noticeOverhead * len(page.Gaps)
	for i := range page.Messages {
		held += 2*len(page.Messages[i].Body) + noticeOverhead // the body, and the request made of it
	}
	r.slot.memory().give(r.held - held)
	r.held = held
	return page, goOn
}

// largePause is how long a stream waits whose requests there is no memory for, without a slot.
const largePause = 50 * time.Millisecond

// reserve takes the memory for requests that are larger than the message that they carry, if they are.
func (r *run) reserve() bool {
	copies, fixed := enlarged(r.d.Subscription.Options)
	if copies <= 1 && fixed <= noticeOverhead {
		return true
	}
	// A message may be larger than a page. The rest of it is within what the page counts.
	size := copies*2*r.e.cfg.PageBytes + fixed
	if !r.slot.large().tryTake(size) {
		return false
	}
	r.large = size
	return true
}

// gone tells the subscriber that its queue was deleted with whatever it had not been sent, and lets the stream look for
// the queue that has its name next.
func (r *run) gone() verdict {
	gap := &protocol.Gap{From: r.d.Cursor + 1, To: max(r.d.Cursor, r.hinted), Reason: protocol.GapDeleted}
	n := Notice{ID: "gap-" + strconv.FormatInt(r.d.QueueID, 16) + "-deleted", Gap: gap, upto: r.d.Cursor}
	if v := r.deliver(n); v != goOn {
		return v
	}
	r.lastGone = r.d.QueueID
	r.setQueue(0)
	return more
}

// deliver sends a notice until it is settled: taken by the other side, or buried.
func (r *run) deliver(n Notice) verdict {
	for {
		v, err := r.attempt(n)
		if v != goOn {
			return v
		}
		if err == nil {
			r.e.counts.delivered.Add(1)
			r.settle(n.upto)
			return r.saveIfLate()
		}
		switch v := r.retry(failureOf(err)); {
		case v == goOn:
			return r.giveUp(n, failureOf(err))
		case v != more || r.lasted():
			return v
		}
	}
}

// settle moves the cursor.
func (r *run) settle(upto int64) {
	r.d.Cursor = max(r.d.Cursor, upto)
	if r.unsavedSince.IsZero() {
		r.unsavedSince = time.Now()
	}
	r.d.Attempts, r.notBefore = 0, time.Time{}
}

// giveUp buries a message that could not be delivered. A gap is only logged: there is nothing to send again.
func (r *run) giveUp(n Notice, f *Failure) verdict {
	r.e.lossLog.Do(func() {
		r.e.opt.Log.Warn().Err(f).Stringer("subscription", r.lease.ID).Str("project", r.key.Project).Str("queue", r.key.Name).
			Str("endpoint", r.slot.ep.name).Str("notice", n.ID).Int("attempts", r.d.Attempts).Msg("not delivered; given up")
	})
	if n.Message == nil {
		r.settle(n.upto)
		return r.save(0, goOn)
	}
	m := n.Message
	dead := protocol.DeadDelivery{
		MessageID: m.ID, Body: m.Body, Codec: m.Codec, TTL: m.TTL, Attempts: r.d.Attempts, Reason: f.Reason,
	}
	progress := protocol.Progress{QueueID: r.d.QueueID, Cursor: n.upto}
	ctx, cancel := r.query()
	defer cancel()
	if err := r.e.backend.BuryDelivery(ctx, r.lease, progress, dead); err != nil {
		r.d.Attempts-- // the last attempt is made again, and this with it
		return r.failed(err, "store a dead delivery")
	}
	r.e.counts.buried.Add(1)
	r.settle(n.upto)
	r.saved, r.unsavedSince = progress, time.Time{}
	return goOn
}

// unhint forgets hints from before the read that the read did not confirm. Later ones stand.
func (r *run) unhint() {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	if r.head == r.hinted {
		r.head = r.d.Cursor
	}
}
