package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// promoter moves messages from the inbox into their queues when they are due. Any number of gateways may do so at the
// same time: numbering happens under the counter's lock, and what is due is chosen in order, so that each queue gets
// its messages in the order in which they became due. Each gateway is on time for those that were posted through it,
// and polls for others'.
type promoter struct {
	s    *Store
	wake chan struct{} // holds a token: next has become earlier

	mu   sync.Mutex
	next time.Time // when the next message known of is due
}

func newPromoter(s *Store) *promoter {
	return &promoter{s: s, wake: make(chan struct{}, 1), next: time.Now()}
}

// expect says that a message is due after a delay from now. It does not block.
func (p *promoter) expect(delay time.Duration) {
	due := time.Now().Add(delay)
	p.mu.Lock()
	earlier := due.Before(p.next)
	if earlier {
		p.next = due
	}
	p.mu.Unlock()
	if earlier {
		signal(p.wake)
	}
}

// run promotes until ctx ends.
func (p *promoter) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		p.mu.Lock()
		wait := time.Until(p.next)
		p.mu.Unlock()
		if wait <= 0 {
			wait = p.round(ctx)
		}
		timer.Reset(min(wait, p.s.cfg.PromotePoll))
	}
}

// round promotes all that is due and returns how long nothing more is.
func (p *promoter) round(ctx context.Context) time.Duration {
	// Set ahead, so that a message expected meanwhile makes it earlier again.
	p.mu.Lock()
	p.next = time.Now().Add(p.s.cfg.PromotePoll)
	p.mu.Unlock()
	for ctx.Err() == nil {
		due, more, next, err := p.due(ctx)
		if err == nil && len(due) > 0 {
			err = p.promote(ctx, due)
		}
		if err != nil {
			if ctx.Err() == nil {
				p.s.log.Warn().Err(err).Msg("cannot promote delayed messages")
			}
			break
		}
		if !more {
			p.expect(next)
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.next)
}

// dueQueue is what is due in one queue: inbox ids in the order in which they become due.
type dueQueue struct {
	queueID int64
	ids     []int64
}

// sqlDue looks one row further than the limit and past what is due: it tells whether there is more, and when.
const sqlDue = `
SELECT id, queue_id, octet_length(body), (extract(epoch FROM due_at - now()) * 1000000)::bigint
FROM inbox ORDER BY due_at, id LIMIT $1`

// due reads what is due, by queue in the order of ids, bounded in rows and bytes; whether there is more that is due;
// and if not, when the next one is.
func (p *promoter) due(ctx context.Context) (queues []dueQueue, more bool, next time.Duration, err error) {
	rows, err := p.s.pool.Query(ctx, sqlDue, p.s.cfg.PromoteRows+1)
	if err != nil {
		return nil, false, 0, fmt.Errorf("read the inbox: %w", p.s.classify(err))
	}
	defer rows.Close()
	next = p.s.cfg.PromotePoll
	byID := make(map[int64]int)
	var count, bytes int
	for rows.Next() {
		var id, queueID, micros int64
		var size int
		if err := rows.Scan(&id, &queueID, &size, &micros); err != nil {
			return nil, false, 0, fmt.Errorf("read the inbox: %w", err)
		}
		if micros > 0 {
			next = time.Duration(micros) * time.Microsecond
			break
		}
		if count > 0 && (count == p.s.cfg.PromoteRows || bytes+size > p.s.cfg.PromoteBytes) {
			more = true
			break
		}
		count, bytes = count+1, bytes+size
		i, ok := byID[queueID]
		if !ok {
			i = len(queues)
			byID[queueID] = i
			queues = append(queues, dueQueue{queueID: queueID})
		}
		queues[i].ids = append(queues[i].ids, id)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, false, 0, fmt.Errorf("read the inbox: %w", p.s.classify(err))
	}
	slices.SortFunc(queues, func(a, b dueQueue) int { return cmp.Compare(a.queueID, b.queueID) })
	return queues, more, next, nil
}

// sqlPromote moves inbox rows $2 of queue $1, whose counter is locked by now, and counts them in slot $3. Rows that
// another promoter has moved, or somebody deleted, are passed over; rows that were purged, or whose queue is gone, are
// only removed. The id stays valid as long as the message: message.inbox_id, and promoted for when the message is gone.
const sqlPromote = `
WITH q AS MATERIALIZED (
    SELECT purge_epoch, inbox_purged_upto FROM queue_seq WHERE id = $1
), taken AS (
    DELETE FROM inbox WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM inbox WHERE queue_id = $1 AND id = ANY($2::int8[]) FOR UPDATE SKIP LOCKED))
    RETURNING id, due_at, ttl, client_id, post_id, codec, body
), due AS MATERIALIZED (
    SELECT taken.* FROM q, taken WHERE taken.id > q.inbox_purged_upto
), counter AS (
    UPDATE queue_seq SET next_seq = next_seq + n.n FROM (SELECT count(*) AS n FROM due) n
    WHERE queue_seq.id = $1 AND n.n > 0 RETURNING next_seq - n.n AS base
), counted AS (
    INSERT INTO queue_count (queue_id, epoch, slot, delayed)
    SELECT $1, q.purge_epoch, $3, -n.n FROM q, (SELECT count(*) AS n FROM due) n WHERE n.n > 0
    ON CONFLICT (queue_id, epoch, slot) DO UPDATE SET delayed = queue_count.delayed + EXCLUDED.delayed
), stored AS (
    INSERT INTO message (queue_id, seq, created_at, expires_at, inbox_id, client_id, post_id, ttl, codec, body)
    SELECT $1, c.base + row_number() OVER (ORDER BY d.due_at, d.id) - 1, now(), now() + d.ttl * interval '1 s',
        d.id, d.client_id, d.post_id, d.ttl, d.codec, d.body
    FROM counter c, due d
    RETURNING seq, inbox_id, expires_at, ttl, client_id, codec, body
), kept AS (
    INSERT INTO promoted (queue_id, inbox_id, seq, expires_at) SELECT $1, inbox_id, seq, expires_at FROM stored
)
SELECT (SELECT q.project FROM queue q WHERE q.id = $1), (SELECT q.name FROM queue q WHERE q.id = $1),
    seq, inbox_id, ttl, codec, body FROM stored ORDER BY seq`

// promote moves what is due in one transaction, its counters locked in the order of ids as a flush does.
func (p *promoter) promote(ctx context.Context, due []dueQueue) error {
	ids := make([]int64, len(due))
	for i, d := range due {
		ids[i] = d.queueID
	}
	batch := &pgx.Batch{}
	batch.Queue(sqlLockMany, ids)
	events := make([]protocol.Committed, 0, len(due))
	for _, d := range due {
		batch.Queue(sqlPromote, d.queueID, d.ids, p.s.writer(writerPromote)).Query(func(rows pgx.Rows) error {
			event, err := readPromoted(d.queueID, rows)
			if len(event.IDs) > 0 {
				events = append(events, event)
			}
			return err
		})
	}
	// A batch is one pipeline with one Sync: one transaction. If its outcome is lost, nothing needs to be done: either
	// the rows are still in the inbox, or they are in their queues and subscribers find them there.
	if err := p.s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("promote messages: %w", p.s.classify(err))
	}
	p.s.committed(events)
	return nil
}

func readPromoted(queueID int64, rows pgx.Rows) (protocol.Committed, error) {
	event := protocol.Committed{QueueID: queueID}
	for rows.Next() {
		var seq, inboxID int64
		var m protocol.NewMessage
		var codec int16
		err := rows.Scan(&event.Queue.Project, &event.Queue.Name, &seq, &inboxID, &m.TTL, &codec, &m.Body)
		if err != nil {
			return event, fmt.Errorf("read promoted messages: %w", err)
		}
		m.Codec = protocol.Codec(codec)
		if len(event.IDs) == 0 {
			event.First = seq
		}
		event.IDs = append(event.IDs, protocol.MessageID{Queue: queueID, N: inboxID, Inbox: true})
		event.Messages = append(event.Messages, m)
	}
	return event, rows.Err()
}
