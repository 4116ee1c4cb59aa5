package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// Lanes whose queue is not known, or is locked, leave the turns and come back when that has been settled, on
// connections of the pool: the flusher waits for nothing but its flushes.

// Pauses between two tries of a lane, doubling.
const (
	restFirst = 10 * time.Millisecond
	restMost  = 500 * time.Millisecond
)

// lookUpLocked takes a lane out of the turns until its queue is known.
func (p *posts) lookUpLocked(ln *lane) {
	if p.closed {
		return
	}
	ln.away = true
	p.lookUps.push(ln)
	if p.workers < p.s.cfg.ResolveConcurrency {
		p.workers++
		p.s.wg.Go(p.runLookUps)
	}
}

// restLocked takes a lane out of the turns for a while, after which it is looked up again.
func (p *posts) restLocked(ln *lane) {
	ln.away = true
	ln.retryAt = time.Now().Add(min(restFirst<<min(ln.tries, 10), restMost))
	ln.tries++
	p.resting = append(p.resting, ln)
	signal(p.tell)
}

// wakeRestedLocked sends the lanes that have rested on. It returns when the next one has, zero if none rests.
func (p *posts) wakeRestedLocked(now time.Time) (next time.Time) {
	p.resting = slices.DeleteFunc(p.resting, func(ln *lane) bool {
		if !now.Before(ln.retryAt) {
			p.lookUpLocked(ln)
			return true
		}
		if next.IsZero() || ln.retryAt.Before(next) {
			next = ln.retryAt
		}
		return false
	})
	return next
}

// runLookUps looks up lanes until none waits for it.
func (p *posts) runLookUps() {
	for {
		p.mu.Lock()
		ln, ok := p.lookUps.pop()
		if !ok {
			p.workers--
			p.mu.Unlock()
			return
		}
		locked := ln.lockedID
		p.mu.Unlock()

		var info *queueInfo
		var err error
		if locked != 0 {
			err = p.s.probeCounter(p.s.work, ln.key, locked)
		}
		if err == nil {
			info, err = p.s.resolve(p.s.work, ln.key, true)
		}
		p.landed(ln, info, err)
	}
}

// landed ends one try of a lane.
func (p *posts) landed(ln *lane, info *queueInfo, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ln.away = false
	switch {
	case err == nil:
		ln.info, ln.lockedID, ln.tries = info, 0, 0
		p.queueLocked(ln)
		signal(p.wake)
	case ln.waiting.len() == 0:
		ln.lockedID = 0
	case final(err) && p.s.work.Err() == nil:
		p.refuseLocked(ln, func(posting) error { return err })
		ln.lockedID = 0
		signal(p.tell)
		signal(p.wake)
	default:
		p.restLocked(ln)
	}
	p.dropLocked(ln)
}

// final says whether a look-up failed for a reason that another try would not change: the database has something against
// this queue, it is in another pool, or has no place.
func final(err error) bool {
	return !isProtocolError(err) || elsewhere(err) || errors.Is(err, protocol.ErrNoFlavor) ||
		errors.Is(err, protocol.ErrNoRoom) || errors.Is(err, protocol.ErrDeadLetterPool)
}

const sqlProbeCounter = `SELECT id FROM queue_seq WHERE id = $1 FOR NO KEY UPDATE NOWAIT`

// probeCounter says whether a queue's counter can be locked now. A flush that found it locked does not try it itself:
// all other queues would wait with it.
func (s *Store) probeCounter(ctx context.Context, key protocol.QueueKey, id int64) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.PostWait)
	defer cancel()
	err := s.pool.QueryRow(ctx, sqlProbeCounter, id).Scan(nil)
	if errors.Is(err, pgx.ErrNoRows) {
		s.forgetQueue(key, id)
		return nil
	}
	return s.classify(err)
}
