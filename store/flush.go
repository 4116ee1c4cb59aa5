package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nusku-messaging/nusku/protocol"
)

// flusher stores what waits in posts: it takes what is there, writes it in one transaction, answers, and takes what
// has come meanwhile. There is no timer; batches grow while the disk is busy. Everything but cut and wait runs on its
// one goroutine.
type flusher struct {
	s      *Store
	config *pgconn.Config
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	batch  batch
	teller teller
	events []protocol.Committed
	fresh  []protocol.NewMessage // memory of events

	mu   sync.Mutex
	conn *flushConn // nil: none; changed only by the flusher's goroutine
}

func newFlusher(s *Store, config *pgconn.Config) *flusher {
	f := &flusher{s: s, config: config}
	f.ctx, f.cancel = context.WithCancel(s.work)
	return f
}

func (f *flusher) start() { f.wg.Go(f.run) }

// wait returns when everything was answered after posts.drain, or after cut.
func (f *flusher) wait() { f.wg.Wait() }

// cut ends the flusher now. It may be called from any goroutine.
func (f *flusher) cut() {
	f.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn != nil {
		f.conn.deadline(time.Unix(1, 0))
	}
}

func (f *flusher) run() {
	defer f.cancel()
	defer f.disconnect()
	p := f.s.posts
	for f.connect() {
		f.batch.reset()
		p.take(&f.batch)
		if f.batch.rows == 0 && len(f.batch.refused) == 0 {
			if !f.idle() {
				return
			}
			continue
		}
		f.flush()
	}
}

// idle waits for something to do. It says false when there will be nothing more.
func (f *flusher) idle() bool {
	if f.s.posts.over() {
		return false
	}
	select {
	case <-f.s.posts.wake:
		return true
	case <-f.ctx.Done():
		return false
	case <-time.After(idleCheck):
		// A connection that was lost while it was idle is replaced before a post needs it.
		if !alive(f.conn.pg) {
			f.disconnect()
		}
		return true
	}
}

// idleCheck is how often an idle connection is looked at.
const idleCheck = time.Second

// connect makes a connection unless there is one; it tries until it has one. It says false when the flusher is to end.
func (f *flusher) connect() bool {
	if f.conn != nil {
		return f.ctx.Err() == nil
	}
	pause := &backoff.ExponentialBackOff{
		InitialInterval: 20 * time.Millisecond, MaxInterval: time.Second, Multiplier: 1.6, RandomizationFactor: 0.3,
	}
	pause.Reset()
	for f.ctx.Err() == nil {
		conn, err := f.s.connectFlusher(f.ctx, f.config)
		if err == nil {
			f.mu.Lock()
			f.conn = conn
			f.mu.Unlock()
			return true
		}
		f.s.log.Warn().Err(err).Msg("the flusher cannot connect to the database")
		select {
		case <-f.ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
		if f.s.posts.over() {
			return false
		}
	}
	return false
}

func (f *flusher) disconnect() {
	f.mu.Lock()
	conn := f.conn
	f.conn = nil
	f.mu.Unlock()
	if conn != nil {
		conn.close()
		// pgconn may still be telling the server to cancel what ran; that must not hold up the next connection.
		f.s.wg.Go(func() { <-conn.pg.CleanupDone() })
	}
}

// flush stores the batch and answers its posts, but for those that go back into waiting.
func (f *flusher) flush() {
	b := &f.batch
	f.refuse(b.refused)
	slices.SortFunc(b.parts, func(x, y *part) int { return cmp.Compare(x.info.id, y.info.id) })
	if len(b.parts) > 0 {
		f.try(b.parts, false)
	}
	f.s.posts.finish(b)
}

// try stores parts in one transaction; where that fails, it finds out which of them is at fault and stores the others.
// oneByOne uses a statement per queue, however many there are.
func (f *flusher) try(parts []*part, oneByOne bool) {
	parts = f.withoutHalted(parts)
	if len(parts) == 0 {
		return
	}
	if f.conn == nil {
		f.giveBack(parts)
		return
	}
	deadline := f.deadlineOf(parts)
	f.mu.Lock()
	cut := f.ctx.Err() != nil
	if !cut {
		f.conn.deadline(deadline)
	}
	f.mu.Unlock()
	if cut {
		f.giveBack(parts)
		return
	}
	f.conn.enc.slot = f.s.writer(writerFlush)
	res := f.conn.send(parts, oneByOne || len(parts) <= f.s.cfg.FlushSimpleQueues)
	switch res.outcome {
	case committed:
		f.settle(parts)
	case unknown:
		f.s.log.Error().Err(res.err).Int("queues", len(parts)).Msg("the outcome of a flush is unknown")
		f.fail(parts, fmt.Errorf("%w: %w", protocol.ErrOutcomeUnknown, res.err))
	case notSent:
		f.s.log.Warn().Err(res.err).Msg("the flusher lost its connection; nothing was stored")
		f.giveBack(parts)
	case refused:
		f.refusedBy(parts, res)
	}
	if f.conn != nil && f.conn.broken() {
		f.disconnect()
	}
}

// deadlineOf is when the flush is given up: when the post that waits longest has to be answered.
func (f *flusher) deadlineOf(parts []*part) time.Time {
	first := parts[0].posts[0].arrived
	for _, pt := range parts {
		for i := range pt.posts {
			if pt.posts[i].arrived.Before(first) {
				first = pt.posts[i].arrived
			}
		}
	}
	return first.Add(f.s.cfg.PostTimeout)
}

// withoutHalted gives back the parts whose lane was halted by an earlier try, so that order is kept.
func (f *flusher) withoutHalted(parts []*part) []*part {
	return slices.DeleteFunc(slices.Clone(parts), func(pt *part) bool {
		if !pt.lane.halted {
			return false
		}
		pt.lane.returned = append(pt.lane.returned, pt.posts...)
		return true
	})
}

// giveBack lets parts wait again: nothing of them was stored.
func (f *flusher) giveBack(parts []*part) {
	for _, pt := range parts {
		pt.lane.halted = true
		pt.lane.returned = append(pt.lane.returned, pt.posts...)
	}
}

// refusedBy handles an error that the server gave; nothing was stored.
func (f *flusher) refusedBy(parts []*part, res result) {
	var pgErr *pgconn.PgError
	errors.As(res.err, &pgErr)
	switch {
	case pgErr.Code == codeLockNotAvailable && res.culprit != nil:
		f.s.log.Warn().Str("queue", res.culprit.lane.key.Name).Msg("the counter of a queue is locked")
		res.culprit.lane.lockedID = res.culprit.info.id
		f.giveBack([]*part{res.culprit})
		f.try(without(parts, res.culprit), false)
	case pgErr.Code == codeLockNotAvailable:
		f.try(parts, true) // which queue?
	case fatal(pgErr):
		f.giveBack(parts)
	case pgErr.Code == codeDeadlock && f.batch.deadlocks < maxDeadlocks:
		// The lock order excludes it; another program's transaction may still bring it about.
		f.s.log.Error().Err(res.err).Msg("deadlock in a flush")
		f.batch.deadlocks++
		f.try(parts, false)
	case transient(pgErr):
		f.s.log.Error().Err(res.err).Msg("the database refuses a flush")
		f.fail(parts, fmt.Errorf("%w: %w", protocol.ErrUnavailable, res.err))
		if pgErr.Code == codeReadOnly {
			f.disconnect() // it has become a standby
		}
	default:
		f.bisect(parts, res)
	}
}

func without(parts []*part, one *part) []*part {
	return slices.DeleteFunc(slices.Clone(parts), func(pt *part) bool { return pt == one })
}

// maxDeadlocks bounds the repetitions of one flush.
const maxDeadlocks = 3

// bisect stores the good posts of parts that the database refused, so that a bad one fails alone.
func (f *flusher) bisect(parts []*part, res result) {
	switch {
	case len(parts) > 1 && res.culprit != nil:
		f.try(without(parts, res.culprit), false)
		f.try([]*part{res.culprit}, false)
	case len(parts) > 1:
		f.try(parts[:len(parts)/2], false)
		f.try(parts[len(parts)/2:], false)
	case len(parts[0].posts) > 1:
		first, second := parts[0].split()
		f.try([]*part{first}, false)
		f.try([]*part{second}, false)
	default:
		f.s.log.Error().Err(res.err).Str("queue", parts[0].lane.key.Name).Msg("the database refuses a post")
		f.fail(parts, fmt.Errorf("post messages: %w", res.err))
	}
}

// settle answers the posts of a committed transaction.
func (f *flusher) settle(parts []*part) {
	f.events, f.fresh = f.events[:0], f.fresh[:0]
	stored := f.batch.stored[:0]
	var due time.Duration = -1
	for _, pt := range parts {
		if !pt.found {
			// The queue was deleted since it was looked up: nothing was stored. The next take makes it again.
			f.s.forgetQueue(pt.info.key, pt.info.id)
			f.giveBack([]*part{pt})
			continue
		}
		due = earlier(due, pt.assign())
		f.note(pt)
		stored = append(stored, pt.posts...)
	}
	f.batch.stored = stored
	f.s.committed(f.events)
	if due >= 0 {
		f.s.promoter.expect(due)
	}
	f.answer(stored, nil)
}

// earlier returns the smaller of two durations, of which negative ones stand for never.
func earlier(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// note adds a part's numbered messages to what the observer will be told.
func (f *flusher) note(pt *part) {
	if pt.numbered == 0 {
		return
	}
	start := len(f.fresh)
	ids := make([]protocol.MessageID, 0, pt.numbered)
	for i := range pt.posts {
		post := pt.posts[i].post
		for j := range post.Messages {
			m := post.Messages[j]
			if delay, ttl := pt.info.times(&m); delay <= 0 {
				m.TTL, m.Delay = ttl, 0
				f.fresh = append(f.fresh, m)
				ids = append(ids, post.IDs[j])
			}
		}
	}
	f.events = append(f.events, protocol.Committed{
		Queue: pt.info.key, QueueID: pt.info.id, First: pt.base, IDs: ids,
		Messages: f.fresh[start:len(f.fresh):len(f.fresh)],
	})
}

func (f *flusher) fail(parts []*part, err error) {
	for _, pt := range parts {
		f.answer(pt.posts, err)
	}
}

func (f *flusher) refuse(refused []refusal) {
	for _, r := range refused {
		f.answer([]posting{r.posting}, r.err)
	}
}

// answer tells the posts of one batch.
func (f *flusher) answer(posts []posting, err error) {
	var rows, bytes int
	for i := range posts {
		rows, bytes = rows+posts[i].rows, bytes+posts[i].bytes
	}
	f.s.posts.answered(rows, bytes)
	f.teller.tell(posts, err)
}
