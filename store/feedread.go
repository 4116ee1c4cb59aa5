package store

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// observeSQL notes that the queues $1 that still exist are observed for $2 microseconds from now on. Rows are taken in
// the order of their ids, so that two gateways cannot deadlock.
const observeSQL = `
INSERT INTO queue_watch AS w (queue_id, observed_until)
SELECT c.id, now() + $2::bigint * interval '1 us' FROM queue_seq c WHERE c.id = ANY ($1::bigint[]) ORDER BY c.id
ON CONFLICT (queue_id) DO UPDATE SET observed_until = EXCLUDED.observed_until
	WHERE w.observed_until < EXCLUDED.observed_until`

// observedHeadSQL reads the newest number of queue $1 and whether the queue is observed for $2 microseconds more at least.
const observedHeadSQL = `
SELECT c.next_seq - 1, COALESCE(w.observed_until >= now() + $2::bigint * interval '1 us', false)
FROM queue_seq c LEFT JOIN queue_watch w ON w.queue_id = c.id WHERE c.id = $1`

const headsSQL = `SELECT id, next_seq - 1 FROM queue_seq WHERE id = ANY ($1::bigint[])`

// feedSQL reads, in one statement and so in one snapshot, the state of queue $1 and at most $3 messages after the
// number $2, ending with the one whose body brings them past $4 bytes. Expired messages come without their body.
const feedSQL = `
WITH q AS MATERIALIZED (
	SELECT c.next_seq - 1 AS last, c.purged_upto, c.jumped_from, c.jumped_upto,
		COALESCE((SELECT max(n.expired_upto) FROM queue_count n WHERE n.queue_id = $1), 0) AS expired_upto
	FROM queue_seq c WHERE c.id = $1
)
SELECT q.last, q.purged_upto, q.jumped_from, q.jumped_upto, q.expired_upto, m.expires_at <= now(), ` + messageColumns + `
FROM q LEFT JOIN (
	SELECT p.*, sum(octet_length(p.body)) OVER (ORDER BY p.seq ROWS UNBOUNDED PRECEDING) - octet_length(p.body) AS before
	FROM (
		SELECT x.seq, x.inbox_id, x.created_at, x.expires_at, x.ttl, x.claim_count, x.claim_expires_at, x.codec,
			x.client_id, x.origin, CASE WHEN x.expires_at > now() THEN x.body ELSE '' END AS body
		FROM message x
		WHERE x.queue_id = $1 AND x.seq > (SELECT GREATEST($2::bigint, purged_upto) FROM q)
		ORDER BY x.seq LIMIT $3::int
	) p
) m ON m.before <= $4::bigint
ORDER BY m.seq`

// Head returns the newest number of a queue, made if it is missing, for a feed that will follow it from there.
//
// The observation is committed before the head is read. So a message that is not in the head is deleted by a
// statement that sees the observation, and leaves a tombstone; the other way round one could be posted and consumed
// between the two, and the feed would never know it. An observation that another subscriber has committed will do if it
// lasts for two thirds of its time, in which whoever follows the feed renews it; it is then read in one snapshot with the
// head. So thousands who subscribe to one queue at a time do not all write the same row.
func (s *Store) Head(ctx context.Context, key protocol.QueueKey) (protocol.Head, error) {
	for range 3 {
		info, err := s.resolve(ctx, key, true)
		if err != nil {
			return protocol.Head{}, fmt.Errorf("read head: %w", err)
		}
		last, err := s.observedHead(ctx, info.id)
		switch {
		case err == nil:
			return protocol.Head{QueueID: info.id, Last: last}, nil
		case !errors.Is(err, protocol.ErrNoQueue):
			return protocol.Head{}, fmt.Errorf("read head: %w", err)
		}
		s.forgetQueue(key, info.id) // deleted since it was resolved
	}
	return protocol.Head{}, fmt.Errorf("read head: %w: queue comes and goes", protocol.ErrUnavailable)
}

// observedHead returns the newest number of a queue that is observed, and sees to it that it is. ErrNoQueue: it is gone.
func (s *Store) observedHead(ctx context.Context, id int64) (last int64, err error) {
	var observed bool
	row := s.pool.QueryRow(ctx, observedHeadSQL, id, (s.cfg.ObserveFor * 2 / 3).Microseconds())
	switch err := row.Scan(&last, &observed); {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, protocol.ErrNoQueue
	case err != nil:
		return 0, s.classify(err)
	case observed:
		return last, nil
	}
	if err := s.Observe(ctx, []int64{id}); err != nil {
		return 0, err
	}
	heads, err := s.Heads(ctx, []int64{id})
	if err != nil {
		return 0, err
	}
	last, ok := heads[id]
	if !ok {
		return 0, protocol.ErrNoQueue
	}
	return last, nil
}

// Observe notes that this gateway has subscribers to the queues, for Config.ObserveFor: until then consumed messages
// leave a tombstone that Feed returns. Renew it in less than half of that. Queues that are gone are ignored.
func (s *Store) Observe(ctx context.Context, queueIDs []int64) error {
	_, err := s.pool.Exec(ctx, observeSQL, queueIDs, s.cfg.ObserveFor.Microseconds())
	if err != nil {
		return fmt.Errorf("observe queues: %w", s.classifyWrite(err))
	}
	return nil
}

// Heads returns the newest number of each queue; one that is missing in the answer is gone.
func (s *Store) Heads(ctx context.Context, queueIDs []int64) (map[int64]int64, error) {
	rows, err := s.pool.Query(ctx, headsSQL, queueIDs)
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", s.classify(err))
	}
	heads := make(map[int64]int64, len(queueIDs))
	var id, last int64
	_, err = pgx.ForEachRow(rows, []any{&id, &last}, func() error {
		heads[id] = last
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", s.classify(err))
	}
	return heads, nil
}

// Feed returns what follows the cursor in a queue, tombstones included: at most limitRows messages and, but for the
// last of them, limitBytes bytes of bodies. Read on from the page's Upto until that is the Head's Last. ErrNoQueue: the
// queue of that id is gone.
func (s *Store) Feed(ctx context.Context, key protocol.QueueKey, queueID, cursor int64, limitRows, limitBytes int) (protocol.FeedPage, error) {
	page, err := s.readFeed(ctx, queueID, cursor, limitRows, limitBytes)
	if err != nil {
		return protocol.FeedPage{}, fmt.Errorf("read feed of queue %q: %w", key.Name, err)
	}
	return page, nil
}

func (s *Store) readFeed(ctx context.Context, queueID, cursor int64, limitRows, limitBytes int) (protocol.FeedPage, error) {
	page := protocol.FeedPage{Head: protocol.Head{QueueID: queueID}}
	limitRows = min(max(limitRows, 1), math.MaxInt32)
	rows, err := s.pool.Query(ctx, feedSQL, queueID, cursor, int32(limitRows), int64(limitBytes))
	if err != nil {
		return page, s.classify(err)
	}
	defer rows.Close()
	var mem arena
	var marks feedMarks
	holes := holeFinder{upto: cursor}
	found, count, bytes := false, 0, 0
	for rows.Next() {
		raw := rows.RawValues()
		found = true
		page.Head.Last = pgInt64(raw[0])
		marks = feedMarks{purged: pgInt64(raw[1]), jumpedFrom: pgInt64(raw[2]), jumpedUpto: pgInt64(raw[3]), expired: pgInt64(raw[4])}
		if raw[6] == nil {
			break // the queue, without a message
		}
		message, err := readMessage(raw[6:], queueID, &mem)
		if err != nil {
			return page, err
		}
		count++
		bytes += len(message.Body)
		if expired := raw[5][0] != 0; expired {
			holes.expired(marks, message.Seq)
			continue
		}
		holes.present(marks, message.Seq)
		page.Messages = append(page.Messages, message)
	}
	if err := rows.Err(); err != nil {
		return page, s.classify(err)
	}
	if !found {
		return page, protocol.ErrNoQueue
	}
	page.Upto = holes.upto
	if count < limitRows && bytes <= limitBytes {
		page.Upto = max(cursor, page.Head.Last)
		holes.missing(marks, page.Upto)
	}
	page.Gaps = holes.gaps
	return page, nil
}

// feedMarks are the marks of a queue that say why a number has no message.
type feedMarks struct {
	purged                 int64 // up to it, purged
	jumpedFrom, jumpedUpto int64 // inclusive; never given out
	expired                int64 // up to it, expired messages were swept
}

// reason returns why from has no message, and up to which number the same holds.
func (m feedMarks) reason(from int64) (protocol.GapReason, int64) {
	switch {
	case from <= m.purged:
		return protocol.GapPurged, m.purged
	case m.jumpedFrom <= from && from <= m.jumpedUpto:
		return protocol.GapFailover, m.jumpedUpto
	}
	reason, end := protocol.GapConsumed, int64(math.MaxInt64)
	if from <= m.expired {
		reason, end = protocol.GapExpired, m.expired
	}
	if from < m.jumpedFrom {
		end = min(end, m.jumpedFrom-1)
	}
	return reason, end
}

// holeFinder walks over the numbers of a page and collects those without a message.
type holeFinder struct {
	upto int64 // looked at so far
	gaps []protocol.Gap
}

// present notes a message.
func (h *holeFinder) present(marks feedMarks, seq int64) {
	h.missing(marks, seq-1)
	h.upto = seq
}

// expired notes a message that is past its TTL, which nobody gets any more.
func (h *holeFinder) expired(marks feedMarks, seq int64) {
	h.missing(marks, seq-1)
	h.add(seq, seq, protocol.GapExpired)
	h.upto = seq
}

// missing notes that up to the number upto there is nothing more.
func (h *holeFinder) missing(marks feedMarks, upto int64) {
	for h.upto < upto {
		reason, end := marks.reason(h.upto + 1)
		end = min(end, upto)
		h.add(h.upto+1, end, reason)
		h.upto = end
	}
}

func (h *holeFinder) add(from, to int64, reason protocol.GapReason) {
	if n := len(h.gaps); n > 0 && h.gaps[n-1].Reason == reason && h.gaps[n-1].To == from-1 {
		h.gaps[n-1].To = to
		return
	}
	h.gaps = append(h.gaps, protocol.Gap{From: from, To: to, Reason: reason})
}
