package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// Claim claims messages in the background. It never blocks; the operation's Waiter is told exactly once.
//
// Errors: ErrOverloaded, ErrUnavailable, ErrStopping, and ErrOutcomeUnknown, after which the messages that may have
// been claimed are given back as soon as the database is there. No queue and no message is no error.
func (s *Store) Claim(op *protocol.ClaimOp) { s.claims.submit(claimWait{op: op}) }

// HintReleased says that another gateway gave messages of a queue back, the lowest of them with the number seq.
func (s *Store) HintReleased(queueID, seq int64) { s.claims.lower(queueID, seq) }

// liveClaimSQL is the condition under which a row of message m belongs to the live claim of batch $4 of queue $1
// with the range [$2, $3].
const liveClaimSQL = `m.queue_id = $1 AND m.seq >= $2 AND m.seq <= $3 AND m.claim_batch = $4
	AND m.seq > (SELECT purged_upto FROM queue_seq WHERE id = $1)
	AND m.claim_expires_at > now() AND m.claim_expires_at < 'infinity' AND m.expires_at > now()`

const claimByIDSQL = `
SELECT m.claim_ttl, m.claimed_at, ` + messageColumns + ` FROM message m WHERE ` + liveClaimSQL + ` ORDER BY m.seq`

// lockClaimSQL chooses the rows of a claim that nobody else has locked; held counts all of them.
const lockClaimSQL = `
WITH held AS (
	SELECT count(*) AS n FROM message m WHERE ` + liveClaimSQL + `
), locked AS MATERIALIZED (
	SELECT m.ctid AS t FROM message m WHERE ` + liveClaimSQL + ` ORDER BY m.seq FOR UPDATE SKIP LOCKED
)`

// renewClaimSQL renews for $5 seconds with a grace of $6. The claim count stays.
const renewClaimSQL = lockClaimSQL + `, done AS (
	UPDATE message SET claimed_at = now(), claim_ttl = $5, claim_expires_at = now() + $5::int * interval '1 s',
		expires_at = CASE WHEN expires_at < now() + $5::int * interval '1 s'
			THEN now() + ($5::int + $6::int) * interval '1 s' ELSE expires_at END,
		ttl = CASE WHEN expires_at < now() + $5::int * interval '1 s' THEN $5::int + $6::int ELSE ttl END
	WHERE ctid = ANY (ARRAY (SELECT t FROM locked))
	RETURNING seq, claim_count
)
SELECT (SELECT n FROM held), (SELECT count(*) FROM done), (SELECT min(seq) FROM done), (SELECT max(claim_count) FROM done)`

const releaseClaimSQL = lockClaimSQL + `, done AS (
	UPDATE message SET claim_expires_at = '-infinity' WHERE ctid = ANY (ARRAY (SELECT t FROM locked))
	RETURNING seq, claim_count
)
SELECT (SELECT n FROM held), (SELECT count(*) FROM done), (SELECT min(seq) FROM done), (SELECT max(claim_count) FROM done)`

// claimOf resolves the queue and reads the claim id. Everything that is not an id of a claim of that queue is
// ErrNoClaim.
func (s *Store) claimOf(ctx context.Context, key protocol.QueueKey, claimID string) (*queueInfo, claimRef, error) {
	signer, err := s.claims.signer(ctx)
	if err != nil {
		return nil, claimRef{}, err
	}
	ref, forged := signer.parse(claimID)
	// Also for an id that is none here: it may be one in the queue's own pool.
	info, err := s.resolveID(ctx, key, ref.queueID)
	switch {
	case errors.Is(err, protocol.ErrNoQueue), err == nil && (forged != nil || info.id != ref.queueID):
		return nil, claimRef{}, protocol.ErrNoClaim
	}
	return info, ref, err
}

// resolveID resolves a queue of which an id is known, whatever the cache says: ids grow, so a higher one than the
// cached may be of a queue that was made again meanwhile. The answer can still be of another id.
func (s *Store) resolveID(ctx context.Context, key protocol.QueueKey, id int64) (*queueInfo, error) {
	info, err := s.resolve(ctx, key, false)
	if err != nil || id <= info.id {
		return info, err
	}
	s.forgetQueue(key, info.id)
	return s.resolve(ctx, key, false)
}

// ClaimByID returns a live claim with those of its messages that are left, or ErrNoClaim.
func (s *Store) ClaimByID(ctx context.Context, key protocol.QueueKey, claimID string) (*protocol.Claim, error) {
	_, ref, err := s.claimOf(ctx, key, claimID)
	if err != nil {
		return nil, fmt.Errorf("read claim: %w", err)
	}
	rows, err := s.pool.Query(ctx, claimByIDSQL, ref.queueID, ref.first, ref.last, ref.batch)
	if err != nil {
		return nil, fmt.Errorf("read claim: %w", s.classify(err))
	}
	defer rows.Close()
	claim := &protocol.Claim{ID: claimID}
	var mem arena
	for rows.Next() {
		raw := rows.RawValues()
		message, err := readMessage(raw[2:], ref.queueID, &mem)
		if err != nil {
			return nil, fmt.Errorf("read claim: %w", err)
		}
		message.ClaimID = claimID
		claim.TTL, claim.Age = pgInt32(raw[0]), ageSeconds(pgInt64(raw[1]), pgInt64(raw[5]))
		claim.Messages = append(claim.Messages, message)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read claim: %w", s.classify(err))
	}
	if len(claim.Messages) == 0 {
		return nil, fmt.Errorf("read claim: %w", protocol.ErrNoClaim)
	}
	return claim, nil
}

// RenewClaim makes a live claim last ttl seconds from now. Messages that would expire before it get the grace, in
// seconds, on top. Their claim counts stay. ErrNoClaim: nothing of the claim is live any more.
func (s *Store) RenewClaim(ctx context.Context, key protocol.QueueKey, claimID string, ttl, grace int32) error {
	_, ref, err := s.claimOf(ctx, key, claimID)
	if err != nil {
		return fmt.Errorf("renew claim: %w", err)
	}
	got, err := s.changeClaim(ctx, renewClaimSQL, ref, ttl, grace)
	if err != nil {
		return fmt.Errorf("renew claim: %w", err)
	}
	if got.changed == 0 {
		return fmt.Errorf("renew claim: %w", protocol.ErrNoClaim)
	}
	return nil
}

// ReleaseClaim ends a claim: its messages can be claimed again at once. A claim that does not exist, or is not of
// that queue, is no error.
func (s *Store) ReleaseClaim(ctx context.Context, key protocol.QueueKey, claimID string) error {
	info, ref, err := s.claimOf(ctx, key, claimID)
	if errors.Is(err, protocol.ErrNoClaim) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("release claim: %w", err)
	}
	got, err := s.changeClaim(ctx, releaseClaimSQL, ref)
	if got.changed > 0 {
		s.claims.released(key, ref.queueID, got.lowest)
		if info.deadLetters() && got.claims >= info.maxClaimCount {
			if _, err := s.buryRange(ctx, info, ref.first-1, ref.last); err != nil {
				s.log.Warn().Err(err).Int64("queue_id", info.id).Msg("dead letters not moved; the sweeper will")
			}
		}
	}
	if err != nil {
		return fmt.Errorf("release claim: %w", err)
	}
	return nil
}

// claimChange is what became of a claim's rows.
type claimChange struct {
	changed int64
	lowest  int64
	claims  int32 // the highest claim count
}

func (c *claimChange) add(changed int64, lowest *int64, claims *int32) {
	c.changed += changed
	if lowest != nil && (c.lowest == 0 || *lowest < c.lowest) {
		c.lowest = *lowest
	}
	if claims != nil {
		c.claims = max(c.claims, *claims)
	}
}

// changeClaim runs renewClaimSQL or releaseClaimSQL until no row of the claim was skipped because somebody else had
// it locked: mostly a delete, which takes the row out of the claim. It ends in ErrUnavailable when rows stay locked.
func (s *Store) changeClaim(ctx context.Context, sql string, ref claimRef, more ...any) (claimChange, error) {
	var all claimChange
	args := append([]any{ref.queueID, ref.first, ref.last, ref.batch}, more...)
	pause := retryPause()
	for {
		var held, changed int64
		var lowest *int64
		var claims *int32
		err := s.pool.QueryRow(ctx, sql, args...).Scan(&held, &changed, &lowest, &claims)
		s.claimed.changed(ref.queueID) // perhaps also when the answer was lost
		if err != nil {
			return all, s.classifyWrite(err)
		}
		all.add(changed, lowest, claims)
		if changed >= held {
			return all, nil
		}
		next := pause.NextBackOff()
		if next == backoff.Stop {
			return all, fmt.Errorf("%w: messages of the claim stay locked", protocol.ErrUnavailable)
		}
		if err := sleep(ctx, next); err != nil {
			return all, err
		}
	}
}

// lockedTries is how often rows that another transaction has locked are tried again: about a second.
const lockedTries = 12

// retryPause returns the pauses between tries for locked rows, 1 to 250 ms, ending with backoff.Stop.
func retryPause() *boundedPause {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = time.Millisecond, 250*time.Millisecond, 2
	return &boundedPause{b: b, left: lockedTries}
}

type boundedPause struct {
	b    *backoff.ExponentialBackOff
	left int
}

// NextBackOff returns the next pause, or backoff.Stop.
func (p *boundedPause) NextBackOff() time.Duration {
	if p.left == 0 {
		return backoff.Stop
	}
	p.left--
	return p.b.NextBackOff()
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", protocol.ErrUnavailable, context.Cause(ctx))
	}
}
