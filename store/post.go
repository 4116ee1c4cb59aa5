package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// Post asks for messages to be stored; a missing queue is made. It never blocks and never calls the Waiter itself, so
// it may be called under the caller's locks. The Waiter is told exactly once, always. Posts of one queue are stored in
// the order of the calls. p belongs to the store until then.
//
// p.Err is nil (committed), protocol.ErrOverloaded, ErrUnavailable, ErrStopping or ErrPostTooLarge (nothing was
// stored), ErrOutcomeUnknown, or what the database had against these messages (nothing was stored).
func (s *Store) Post(p *protocol.Post) { s.posts.add(p) }

// posts is where posts wait for the flusher: a lane per queue, in which order is kept, and turns of the projects, so
// that one project's flood does not delay another's posts.
type posts struct {
	s    *Store
	wake chan struct{} // holds a token: there may be something to flush
	tell chan struct{} // holds a token: the teller has something to do

	mu       sync.Mutex
	rows     int // accepted and not yet answered
	bytes    int
	lanes    map[protocol.QueueKey]*lane
	projects map[string]*project
	turns    fifo[*project]
	takes    int         // counts flushes
	sated    []*project  // have got their share of the flush that is being filled
	lookUps  fifo[*lane] // lanes that wait for a worker
	workers  int
	resting  []*lane // lanes that wait for their retry
	refused  []refusal
	expiry   time.Time // no waiting post is to be withdrawn before; zero: none waits
	draining bool
	closed   bool
}

// posting is a post that waits.
type posting struct {
	post    *protocol.Post
	rows    int
	bytes   int
	arrived time.Time
	until   time.Time // withdrawn when no flush has taken it by then
}

// refusal is a post that failed, and why.
type refusal struct {
	posting
	err error
}

// project takes turns with the others; its own lanes take turns within it.
type project struct {
	name   string
	lanes  int
	ready  fifo[*lane]
	queued bool // is in turns
	// used is how many rows it got in the flush of that number; sated keeps it out of turns until that is filled.
	// yielded is the number of the last flush in which it let others go first.
	used, flush, yielded int
	sated                bool
}

// lane holds the waiting posts of one queue.
type lane struct {
	key     protocol.QueueKey
	project *project
	waiting fifo[posting]
	queued  bool // is in its project's ready
	// away keeps it out of ready: its queue is being looked up, or the counter is locked.
	away bool
	// lockedID is the queue whose counter was locked when it was last tried, 0 if none.
	lockedID int64
	tries    int
	retryAt  time.Time
	// info is what the look-up found; it serves one flush, for by then the cache may have let go of it.
	info *queueInfo

	// part is the lane's part of the flush under way. returned are its posts that the flush could not store, in order;
	// they go back to the front, and halted keeps those behind them from being stored before them.
	part     *part
	returned []posting
	halted   bool
}

// rowOverhead is what a message counts for, beside its body, against the bounds in bytes.
const rowOverhead = 64

func newPosts(s *Store) *posts {
	return &posts{
		s: s, wake: make(chan struct{}, 1), tell: make(chan struct{}, 1),
		lanes: make(map[protocol.QueueKey]*lane), projects: make(map[string]*project),
	}
}

func (p *posts) start() { p.s.wg.Go(p.runTeller) }

func (p *posts) add(post *protocol.Post) {
	now := time.Now()
	w := posting{post: post, rows: max(1, len(post.Messages)), arrived: now, until: now.Add(p.s.cfg.PostWait)}
	for i := range post.Messages {
		w.bytes += len(post.Messages[i].Body) + rowOverhead
	}
	if !post.Deadline.IsZero() && post.Deadline.Before(w.until) {
		w.until = post.Deadline
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admitLocked(w); err != nil {
		p.refused = append(p.refused, refusal{w, err})
		signal(p.tell)
		return
	}
	p.rows, p.bytes = p.rows+w.rows, p.bytes+w.bytes
	ln := p.laneLocked(post.Queue)
	ln.waiting.push(w)
	p.queueLocked(ln)
	p.expireLocked(w.until)
	signal(p.wake)
}

func (p *posts) admitLocked(w posting) error {
	if p.draining {
		return protocol.ErrStopping
	}
	cfg := &p.s.cfg
	if p.rows > 0 && (p.rows+w.rows > cfg.PostWaitRows || p.bytes+w.bytes > cfg.PostWaitBytes) {
		return fmt.Errorf("%w: %d messages of %d bytes wait to be posted", protocol.ErrOverloaded, p.rows, p.bytes)
	}
	return nil
}

func (p *posts) laneLocked(key protocol.QueueKey) *lane {
	if ln := p.lanes[key]; ln != nil {
		return ln
	}
	key = ownKey(key)
	pr := p.projects[key.Project]
	if pr == nil {
		pr = &project{name: key.Project}
		p.projects[key.Project] = pr
	}
	pr.lanes++
	ln := &lane{key: key, project: pr}
	p.lanes[key] = ln
	return ln
}

// queueLocked gives a lane its next turn, if it has something to flush and may.
func (p *posts) queueLocked(ln *lane) {
	if ln.queued || ln.away || ln.waiting.len() == 0 {
		return
	}
	ln.queued = true
	ln.project.ready.push(ln)
	p.turnLocked(ln.project)
}

func (p *posts) turnLocked(pr *project) {
	if !pr.queued && !pr.sated && pr.ready.len() > 0 {
		pr.queued = true
		p.turns.push(pr)
	}
}

// dropLocked forgets a lane that nothing needs any more.
func (p *posts) dropLocked(ln *lane) {
	if ln.waiting.len() > 0 || ln.queued || ln.away || ln.part != nil || p.lanes[ln.key] != ln {
		return
	}
	delete(p.lanes, ln.key)
	ln.project.lanes--
	if ln.project.lanes == 0 {
		delete(p.projects, ln.project.name)
	}
}

// expireLocked has the teller come when a waiting post's time is over.
func (p *posts) expireLocked(at time.Time) {
	if p.expiry.IsZero() || at.Before(p.expiry) {
		p.expiry = at
		signal(p.tell)
	}
}

// take fills a batch with what may be flushed now, in turns, within the bounds of one flush. A project that has got a
// quarter of its rows leaves the rest to others, if there are any: a flush is not to take the longer for all, the more
// one of them posts.
func (p *posts) take(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.takes++
	defer p.hungerLocked()
	for b.rows < p.s.cfg.FlushRows {
		pr, ok := p.turns.pop()
		if !ok {
			return
		}
		if p.yieldsLocked(pr) {
			p.turns.push(pr)
			continue
		}
		pr.queued = false
		ln, ok := pr.ready.pop()
		if !ok {
			continue
		}
		ln.queued = false
		before := b.rows
		if full := p.takeOneLocked(b, ln); full {
			ln.queued, pr.queued = true, true
			pr.ready.unpop(ln)
			p.turns.unpop(pr)
			return
		}
		p.sateLocked(pr, b.rows-before, b)
		p.queueLocked(ln)
		p.turnLocked(pr)
		p.dropLocked(ln)
	}
}

// sateLocked notes what a project got in the flush that is being filled, and whether it has had its share.
func (p *posts) sateLocked(pr *project, rows int, b *batch) {
	if pr.flush != p.takes {
		pr.flush, pr.used = p.takes, 0
	}
	pr.used += rows
	if pr.used > p.s.cfg.FlushRows/4 && (b.rows > pr.used || p.turns.len() > 0) {
		pr.sated = true
		p.sated = append(p.sated, pr)
	}
}

// yieldsLocked says whether a project lets those go first that came while its last flush ran, in which it had more than
// its share.
func (p *posts) yieldsLocked(pr *project) bool {
	if pr.flush != p.takes-1 || pr.used <= p.s.cfg.FlushRows/4 || pr.yielded == p.takes || p.turns.len() == 0 {
		return false
	}
	pr.yielded = p.takes
	return true
}

// hungerLocked gives those that had their share their next turn.
func (p *posts) hungerLocked() {
	for _, pr := range p.sated {
		pr.sated = false
		p.turnLocked(pr)
	}
	clear(p.sated)
	p.sated = p.sated[:0]
}

// takeOneLocked moves the lane's first post into the batch, unless the batch is full or the queue must be looked up.
func (p *posts) takeOneLocked(b *batch, ln *lane) (full bool) {
	if ln.waiting.len() == 0 {
		return false // withdrawn
	}
	info := ln.info
	if ln.part != nil {
		info = ln.part.info
	} else if info == nil {
		info = p.s.cache.fresh(ln.key)
	}
	if info == nil {
		p.lookUpLocked(ln)
		return false
	}
	next := ln.waiting.front()
	if b.rows > 0 && (b.rows+next.rows > p.s.cfg.FlushRows || b.bytes+next.bytes > p.s.cfg.FlushBytes) {
		return true
	}
	ln.info = nil
	w, _ := ln.waiting.pop()
	if limit := info.maxPostBytes; limit > 0 && w.bytes-len(w.post.Messages)*rowOverhead > limit {
		b.refused = append(b.refused, refusal{w, protocol.ErrPostTooLarge})
		return false
	}
	b.add(ln, info, w)
	return false
}

// finish takes back what a flush could not store and lets its lanes go on.
func (p *posts) finish(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pt := range b.parts {
		ln := pt.lane
		ln.part = nil
		if len(ln.returned) > 0 {
			ln.waiting.unpop(ln.returned...)
			for _, w := range ln.returned {
				p.expireLocked(w.until)
			}
			clear(ln.returned)
			ln.returned = ln.returned[:0]
		}
		p.resumeLocked(ln)
	}
}

// resumeLocked sends a lane to where its last flush says that it belongs.
func (p *posts) resumeLocked(ln *lane) {
	ln.halted = false
	switch {
	case ln.waiting.len() == 0:
		ln.lockedID = 0
	case ln.lockedID != 0:
		if ln.queued { // with posts that came during the flush
			ln.queued = false
			ln.project.ready.keep(func(other *lane) bool { return other != ln })
		}
		p.restLocked(ln)
	default:
		p.queueLocked(ln)
	}
	p.dropLocked(ln)
}

// answered gives back what answered posts held of the bounds.
func (p *posts) answered(rows, bytes int) {
	p.mu.Lock()
	p.rows, p.bytes = p.rows-rows, p.bytes-bytes
	p.mu.Unlock()
}

// over says whether all that was accepted was answered, and nothing more will be accepted.
func (p *posts) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.draining && p.rows == 0
}

// drain refuses posts from now on.
func (p *posts) drain() {
	p.mu.Lock()
	p.draining = true
	p.mu.Unlock()
	signal(p.wake)
}

// close refuses what still waits and ends the teller. The flusher must have ended.
func (p *posts) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, ln := range p.lanes {
		p.refuseLocked(ln, func(posting) error { return protocol.ErrStopping })
	}
	signal(p.tell)
}

// refuseLocked refuses those posts of a lane for which why returns an error.
func (p *posts) refuseLocked(ln *lane, why func(posting) error) {
	ln.waiting.keep(func(w posting) bool {
		err := why(w)
		if err != nil {
			p.refused = append(p.refused, refusal{w, err})
			p.rows, p.bytes = p.rows-w.rows, p.bytes-w.bytes
		}
		return err == nil
	})
}

// errNotTaken is why a post was withdrawn.
var errNotTaken = errors.New("no flush in time")

// runTeller answers the posts that no flush answers: refused and withdrawn ones. It does not wait for the database, so
// they are answered in time whatever happens to the flusher.
func (p *posts) runTeller() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var t teller
	for {
		select {
		case <-p.tell:
		case <-timer.C:
		}
		refused, alarm, closed := p.collect(time.Now())
		t.refuse(p.notFollowed(refused))
		if closed {
			return
		}
		if alarm.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(alarm))
		}
	}
}

// notFollowed leaves those refused posts to be told that nobody takes to where their queue is.
func (p *posts) notFollowed(refused []refusal) []refusal {
	return slices.DeleteFunc(refused, func(r refusal) bool {
		if !elsewhere(r.err) {
			return false
		}
		r.post.IDs, r.post.Err = nil, r.err
		return p.s.follow(r.post, r.err)
	})
}

// collect withdraws posts, sends rested lanes on, and returns what to tell and when to come again.
func (p *posts) collect(now time.Time) (refused []refusal, alarm time.Time, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.expiry.IsZero() && !now.Before(p.expiry) {
		p.withdrawLocked(now)
	}
	alarm = p.expiry
	if next := p.wakeRestedLocked(now); !next.IsZero() && (alarm.IsZero() || next.Before(alarm)) {
		alarm = next
	}
	refused, p.refused = p.refused, nil
	return refused, alarm, p.closed
}

// withdrawLocked refuses the posts whose time is over.
func (p *posts) withdrawLocked(now time.Time) {
	p.expiry = time.Time{}
	for _, ln := range p.lanes {
		p.refuseLocked(ln, func(w posting) error {
			if !now.Before(w.until) {
				return fmt.Errorf("%w: %w", protocol.ErrUnavailable, errNotTaken)
			}
			if p.expiry.IsZero() || w.until.Before(p.expiry) {
				p.expiry = w.until
			}
			return nil
		})
		p.dropLocked(ln)
	}
	signal(p.wake) // who drains waits for the last one
}
