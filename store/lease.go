package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
)

// membership is this gateway's row in the database: while it is renewed, the gateway's socket subscriptions count as
// live and its slot of queue_count is its own.
type membership struct {
	s *Store
	// steadySince is when the lease was last taken anew, in nanoseconds of Unix time: see steady.
	steadySince atomic.Int64
}

func newMembership(s *Store) *membership { return &membership{s: s} }

// A gateway that was taken for dead comes back under its id with a new slot: what it counted under the old one was
// folded into another's.
const sqlJoin = `
INSERT INTO gateway (id, lease_until) VALUES ($1, now() + $2 * interval '1 ms')
ON CONFLICT (id) DO UPDATE SET lease_until = EXCLUDED.lease_until RETURNING slot`

const (
	sqlRenew = `UPDATE gateway SET lease_until = now() + $2 * interval '1 ms' WHERE id = $1`
	sqlLeave = `DELETE FROM gateway WHERE id = $1`
)

// join registers the gateway; while the database is away it tries again until ctx ends.
func (m *membership) join(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 2*time.Second
	for {
		err := m.register(ctx)
		if err == nil || sqlState(err) != "" && !m.worthRetry(err) {
			return err
		}
		m.s.log.Warn().Err(err).Msg("waiting for the database")
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(pause.NextBackOff()):
		}
	}
}

func (m *membership) worthRetry(err error) bool { return isProtocolError(m.s.classify(err)) }

func (m *membership) register(ctx context.Context) error {
	var slot int64
	err := m.s.pool.QueryRow(ctx, sqlJoin, m.s.id, m.s.cfg.GatewayLease.Milliseconds()).Scan(&slot)
	if err != nil {
		return fmt.Errorf("register the gateway: %w", err)
	}
	m.s.slot.Store(slot)
	m.steadySince.Store(time.Now().UnixNano())
	return nil
}

// run renews the lease until ctx ends.
func (m *membership) run(ctx context.Context) {
	ticker := time.NewTicker(m.s.cfg.GatewayLease / 5)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := m.renew(ctx); err != nil && ctx.Err() == nil {
			m.steadySince.Store(time.Now().UnixNano())
			m.s.log.Warn().Err(err).Msg("cannot renew the gateway's lease")
		}
	}
}

func (m *membership) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.s.cfg.GatewayLease/5)
	defer cancel()
	tag, err := m.s.pool.Exec(ctx, sqlRenew, m.s.id, m.s.cfg.GatewayLease.Milliseconds())
	if err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	if tag.RowsAffected() == 0 {
		m.s.log.Error().Msg("another gateway took this one for dead; registering again")
		return m.register(ctx)
	}
	return nil
}

// steady says whether the lease was renewed without a failure for as long as it lasts. Only then may this gateway
// judge others: after the database was away for a while, all leases are over and nobody is dead.
func (m *membership) steady() bool {
	return time.Since(time.Unix(0, m.steadySince.Load())) > m.s.cfg.GatewayLease
}

// leave ends the gateway's leases, so that others need not wait for them to run out.
func (m *membership) leave(ctx context.Context) {
	// ctx may be over; a second is enough when the database is well, and when it is not, the leases run out.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	batch := &pgx.Batch{}
	batch.Queue(sqlLeaseEnd, m.s.id)
	batch.Queue(leaseReleaseAllSQL, m.s.id)
	batch.Queue(sqlLeave, m.s.id)
	if err := m.s.pool.SendBatch(ctx, batch).Close(); err != nil {
		m.s.log.Warn().Err(err).Msg("cannot end the gateway's leases")
	}
}

// workLease is the right to do one kind of work for all gateways. It makes that work efficient, not safe: all of it is
// right also when two do it at once.
type workLease struct {
	s     *Store
	name  string
	token int64
	until time.Time
}

// The token grows with each new holder, also when the same gateway comes back after another had it.
const sqlLeaseTake = `
INSERT INTO lease (name, holder, token, until) VALUES ($1, $2, 1, now() + $3 * interval '1 ms')
ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until,
    token = lease.token + CASE WHEN lease.holder = EXCLUDED.holder AND lease.until > now() THEN 0 ELSE 1 END
WHERE lease.holder = EXCLUDED.holder OR lease.until <= now()
RETURNING token`

const sqlLeaseEnd = `UPDATE lease SET until = now() WHERE holder = $1 AND until > now()`

// hold takes or renews the lease and says whether this gateway has it. It asks the database at most every third of
// the lease's time.
func (l *workLease) hold(ctx context.Context) (bool, error) {
	now := time.Now()
	if l.token != 0 && l.until.Sub(now) > l.s.cfg.WorkLease*2/3 {
		return true, nil
	}
	var token int64
	err := l.s.pool.QueryRow(ctx, sqlLeaseTake, l.name, l.s.id, l.s.cfg.WorkLease.Milliseconds()).Scan(&token)
	if errors.Is(err, pgx.ErrNoRows) {
		l.token = 0
		return false, nil
	}
	if err != nil {
		l.token = 0
		return false, fmt.Errorf("take lease %s: %w", l.name, l.s.classify(err))
	}
	// Counted from before the request: never longer than the database thinks.
	l.token, l.until = token, now.Add(l.s.cfg.WorkLease)
	return true, nil
}
