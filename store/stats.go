package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// sqlLive says whether message m is one that clients can see: neither expired nor a tombstone.
const sqlLive = `(m.expires_at > now() AND m.claim_expires_at < 'infinity')`

// sqlStats counts queue $1 in one snapshot. The numbers tell how many messages ever came since the last purge,
// queue_count how many were taken out; what has expired but was not swept is counted here, as far as it lies ahead of
// the first live message and within $2 rows of the head. $3 is a number up to which nothing is live. Where none of
// $2 rows after it is either, the last column is a later such number.
const sqlStats = `
WITH c AS MATERIALIZED (
    SELECT *, GREATEST(0, jumped_upto - GREATEST(jumped_from - 1, purged_upto)) AS jumped
    FROM queue_seq WHERE id = $1
), oldest AS MATERIALIZED (
    SELECT m.seq, m.inbox_id FROM (
        SELECT m.* FROM message m WHERE m.queue_id = $1 AND m.seq > (SELECT GREATEST(purged_upto, $3::int8) FROM c)
        ORDER BY m.seq LIMIT $2) m
    WHERE ` + sqlLive + ` ORDER BY m.seq LIMIT 1
), newest AS MATERIALIZED (
    SELECT m.seq, m.inbox_id FROM (
        SELECT m.* FROM message m WHERE m.queue_id = $1 AND m.seq > (SELECT GREATEST(purged_upto, $3::int8) FROM c)
        ORDER BY m.seq DESC LIMIT $2) m
    WHERE ` + sqlLive + ` ORDER BY m.seq DESC LIMIT 1
), unswept AS MATERIALIZED (
    SELECT count(*) FILTER (WHERE m.expires_at <= now() AND m.claim_expires_at < 'infinity') AS n FROM (
        SELECT m.* FROM message m WHERE m.queue_id = $1 AND m.seq > (SELECT purged_upto FROM c)
            AND m.seq < coalesce((SELECT seq FROM oldest), (SELECT next_seq FROM c))
        ORDER BY m.seq LIMIT $2) m
)
SELECT c.next_seq - 1 - c.purged_upto - c.jumped - unswept.n
        - (SELECT coalesce(sum(n.removed), 0)::int8 FROM queue_count n WHERE n.queue_id = $1 AND n.epoch = c.purge_epoch),
    (SELECT coalesce(sum(n.delayed), 0)::int8 FROM queue_count n WHERE n.queue_id = $1 AND n.epoch = c.purge_epoch),
    (SELECT seq FROM oldest), (SELECT inbox_id FROM oldest), (SELECT seq FROM newest), (SELECT inbox_id FROM newest),
    CASE WHEN NOT EXISTS (SELECT FROM oldest) THEN (SELECT max(seq) FROM (
        SELECT m.seq FROM message m WHERE m.queue_id = $1 AND m.seq > GREATEST(c.purged_upto, $3::int8)
        ORDER BY m.seq LIMIT $2) m) END
FROM c, unswept`

// queueCounts is what sqlStats returns.
type queueCounts struct {
	numbered, delayed        int64
	oldestSeq, oldestInboxID *int64
	newestSeq, newestInboxID *int64
	deadUpto                 *int64
}

// QueueStats counts a queue's messages. Totals are those of one moment, but for messages that expired behind live
// ones: they count until they are swept (Config.SweepFullInterval). The claimed count may miss what other gateways did
// within Config.StatsClaimedAge, but nothing that was answered through this one.
// It takes the same time for any number of messages. It returns protocol.ErrNoQueue if there is no such queue.
func (s *Store) QueueStats(ctx context.Context, key protocol.QueueKey) (protocol.QueueStats, error) {
	var stats protocol.QueueStats
	info, counts, err := s.countQueue(ctx, key)
	if err != nil {
		return stats, fmt.Errorf("count queue: %w", err)
	}
	numbered := max(0, counts.numbered)
	claimed, err := s.claimed.of(ctx, info.id)
	if err != nil {
		return stats, fmt.Errorf("count claimed messages: %w", err)
	}
	stats.Claimed = min(claimed, numbered)
	stats.Free = numbered - stats.Claimed
	stats.Delayed = max(0, counts.delayed)
	stats.Total = numbered + stats.Delayed
	if err := s.statsMessages(ctx, info, counts, &stats); err != nil {
		return stats, fmt.Errorf("read oldest and newest message: %w", err)
	}
	return stats, nil
}

// countQueue counts a queue, by its name as of now.
func (s *Store) countQueue(ctx context.Context, key protocol.QueueKey) (*queueInfo, queueCounts, error) {
	var last *queueCounts
	var lastInfo *queueInfo
	for range statsTries {
		info, err := s.resolve(ctx, key, false)
		if err != nil {
			return nil, queueCounts{}, err
		}
		var c queueCounts
		err = s.pool.QueryRow(ctx, sqlStats, info.id, s.cfg.StatsWalkRows, s.claimed.liveFrom(info.id)).Scan(
			&c.numbered, &c.delayed, &c.oldestSeq, &c.oldestInboxID, &c.newestSeq, &c.newestInboxID, &c.deadUpto)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			s.forgetQueue(key, info.id) // deleted since it was looked up: is there another?
			continue
		case err != nil:
			return nil, c, s.classify(err)
		case c.deadUpto != nil:
			s.claimed.setLiveFrom(info.id, *c.deadUpto)
		case c.oldestSeq != nil:
			s.claimed.setLiveFrom(info.id, *c.oldestSeq-1)
		}
		if last = &c; c.deadUpto == nil || c.numbered <= 0 {
			return info, c, nil
		}
		lastInfo = info
	}
	if last != nil {
		return lastInfo, *last, nil // the oldest message lies still further on; the next call goes on from there
	}
	return nil, queueCounts{}, protocol.ErrNoQueue
}

// statsTries bounds the statements of one call.
const statsTries = 5

// statsMessages reads the oldest and the newest message. Either may have gone since it was counted.
func (s *Store) statsMessages(ctx context.Context, info *queueInfo, c queueCounts, stats *protocol.QueueStats) error {
	if c.oldestSeq == nil || c.newestSeq == nil {
		return nil
	}
	id := func(seq, inboxID *int64) protocol.MessageID {
		if inboxID != nil {
			return protocol.MessageID{Queue: info.id, N: *inboxID, Inbox: true}
		}
		return protocol.MessageID{Queue: info.id, N: *seq}
	}
	oldest, newest := id(c.oldestSeq, c.oldestInboxID), id(c.newestSeq, c.newestInboxID)
	ids := slices.Compact([]string{oldest.String(), newest.String()})
	messages, err := s.MessagesByID(ctx, info.key, ids)
	if err != nil {
		return err
	}
	for i := range messages {
		if messages[i].ID == oldest {
			stats.Oldest = &messages[i]
		}
		if messages[i].ID == newest {
			stats.Newest = &messages[i]
		}
	}
	return nil
}
