package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const (
	sqlDropped = `SELECT queue_id FROM dropped_queue ORDER BY queue_id LIMIT $1`

	sqlReapMessages = `
DELETE FROM message WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM message WHERE queue_id = $1 ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED))`
	sqlReapInbox = `
DELETE FROM inbox WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM inbox WHERE queue_id = $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED))`
	sqlReapCounts = `DELETE FROM queue_count WHERE queue_id = $1`
	sqlReapWatch  = `DELETE FROM queue_watch WHERE queue_id = $1`
	// A row that was locked just now keeps the mark, and the next pass comes back for it.
	sqlReapMark = `
DELETE FROM dropped_queue WHERE queue_id = $1
    AND NOT EXISTS (SELECT FROM message WHERE queue_id = $1) AND NOT EXISTS (SELECT FROM inbox WHERE queue_id = $1)`
)

// droppedQueues removes what deleted queues left behind.
func (w *sweeper) droppedQueues(ctx context.Context) (more bool, err error) {
	rows, err := w.s.pool.Query(ctx, sqlDropped, sweepPage)
	if err != nil {
		return false, fmt.Errorf("list dropped queues: %w", w.s.classify(err))
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return false, fmt.Errorf("list dropped queues: %w", w.s.classify(err))
	}
	more = len(ids) == sweepPage
	for _, id := range ids {
		left, err := w.reapQueue(ctx, id)
		if err != nil {
			return false, fmt.Errorf("reap queue %d: %w", id, err)
		}
		more = more || left
	}
	return more, nil
}

// reapQueue removes a deleted queue's rows, up to a bound, and its mark once there are none.
func (w *sweeper) reapQueue(ctx context.Context, id int64) (more bool, err error) {
	for _, sql := range []string{sqlReapMessages, sqlReapInbox} {
		for burst := 1; ; burst++ {
			if err := w.holds(ctx); err != nil {
				return false, err
			}
			tag, err := w.s.pool.Exec(ctx, sql, id, w.s.cfg.SweepRows)
			if err != nil {
				return false, w.s.classify(err)
			}
			if tag.RowsAffected() < int64(w.s.cfg.SweepRows) {
				break
			}
			if burst == sweepBurst {
				return true, nil
			}
		}
	}
	for _, sql := range []string{sqlReapCounts, sqlReapWatch, sqlReapMark} {
		if _, err := w.s.pool.Exec(ctx, sql, id); err != nil {
			return false, w.s.classify(err)
		}
	}
	return false, nil
}

// sqlSweepPromoted removes up to $1 expired rows of promoted; those whose message was given more time by a claim get
// its expiry.
const sqlSweepPromoted = `
WITH over AS MATERIALIZED (
    SELECT p.ctid AS t, (SELECT m.expires_at FROM message m WHERE m.queue_id = p.queue_id AND m.seq = p.seq) AS until
    FROM promoted p WHERE p.expires_at <= now() ORDER BY p.expires_at LIMIT $1 FOR UPDATE OF p SKIP LOCKED
), kept AS (
    UPDATE promoted p SET expires_at = o.until FROM over o WHERE p.ctid = o.t AND o.until > now()
), gone AS (
    DELETE FROM promoted WHERE ctid = ANY(ARRAY(SELECT t FROM over WHERE until IS NULL OR until <= now()))
)
SELECT count(*) FROM over`

// promotedRows removes where inbox messages went, once the messages have expired.
func (w *sweeper) promotedRows(ctx context.Context) (more bool, err error) {
	for range sweepBurst {
		if err := w.holds(ctx); err != nil {
			return false, err
		}
		var n int
		if err := w.s.pool.QueryRow(ctx, sqlSweepPromoted, w.s.cfg.SweepRows).Scan(&n); err != nil {
			return false, fmt.Errorf("sweep promoted: %w", w.s.classify(err))
		}
		if n < w.s.cfg.SweepRows {
			return false, nil
		}
	}
	return true, nil
}

// sqlDeadGateways removes the gateways whose lease is over, with their socket subscriptions. What they counted is
// folded later: their slots are never given out again.
const sqlDeadGateways = `
WITH dead AS (
    DELETE FROM gateway WHERE id = ANY(ARRAY(
        SELECT id FROM gateway WHERE lease_until <= now() AND id <> $1 ORDER BY id FOR UPDATE SKIP LOCKED))
    RETURNING id
), ended AS (
    DELETE FROM subscription s USING dead d WHERE s.gateway_id = d.id
)
SELECT id::text FROM dead`

func (w *sweeper) deadGateways(ctx context.Context) (more bool, err error) {
	if !w.s.member.steady() {
		return false, nil
	}
	rows, err := w.s.pool.Query(ctx, sqlDeadGateways, w.s.id)
	if err != nil {
		return false, fmt.Errorf("sweep gateways: %w", w.s.classify(err))
	}
	dead, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return false, fmt.Errorf("sweep gateways: %w", w.s.classify(err))
	}
	for _, id := range dead {
		w.s.log.Info().Str("gateway", id).Msg("a gateway is gone")
	}
	return false, nil
}

// Tables that stay small, or whose rows are seldom over.
const (
	// Subscriptions that a gateway made although it was taken for dead.
	sqlOrphans = `
DELETE FROM subscription WHERE id = ANY(ARRAY(
    SELECT s.id FROM subscription s
    WHERE s.gateway_id IS NOT NULL AND NOT EXISTS (SELECT FROM gateway g WHERE g.id = s.gateway_id)
    LIMIT $1 FOR UPDATE OF s SKIP LOCKED))`
	sqlExpiredSubscriptions = `
DELETE FROM subscription WHERE id = ANY(ARRAY(
    SELECT id FROM subscription WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))`
	sqlExpiredDeadDeliveries = `
DELETE FROM dead_delivery WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM dead_delivery WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))`
	sqlOldQuotas = `
DELETE FROM confirmation_quota WHERE key = ANY(ARRAY(
    SELECT key FROM confirmation_quota WHERE until <= now() ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED))`
	// Renewals come back to a row for a while; an hour after the last one it is in nobody's way.
	sqlOldWatches = `
DELETE FROM queue_watch WHERE queue_id = ANY(ARRAY(
    SELECT queue_id FROM queue_watch WHERE observed_until <= now() - interval '1 hour' LIMIT $1 FOR UPDATE SKIP LOCKED))`
	sqlOldLeases = `DELETE FROM lease WHERE until <= now() - interval '1 day'`
)

// leftovers removes what is seldom over.
func (w *sweeper) leftovers(ctx context.Context) error {
	limited := []string{sqlExpiredSubscriptions, sqlExpiredDeadDeliveries, sqlOldQuotas, sqlOldWatches}
	if w.s.member.steady() {
		limited = append(limited, sqlOrphans)
	}
	for _, sql := range limited {
		if err := w.repeat(ctx, sql); err != nil {
			return fmt.Errorf("sweep leftovers: %w", err)
		}
	}
	if _, err := w.s.pool.Exec(ctx, sqlOldLeases); err != nil {
		return fmt.Errorf("sweep leases: %w", w.s.classify(err))
	}
	return nil
}

// repeat runs a statement that removes up to $1 rows until it finds no more, or has run often enough for one pass.
func (w *sweeper) repeat(ctx context.Context, sql string) error {
	for range sweepBurst {
		if err := w.holds(ctx); err != nil {
			return err
		}
		tag, err := w.s.pool.Exec(ctx, sql, w.s.cfg.SweepRows)
		if err != nil {
			return w.s.classify(err)
		}
		if tag.RowsAffected() < int64(w.s.cfg.SweepRows) {
			return nil
		}
	}
	return nil
}
