package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// claimColumns follow messageColumns where the claim that holds a message is to be told.
const claimColumns = `, m.claim_batch, m.claim_first, m.claim_last`

// messagesSQL lists messages of queue $1 with numbers in ($2, $3]: claimed ones only with $4, not those that client $5
// posted unless it is null, at most $6.
const messagesSQL = `
SELECT ` + messageColumns + claimColumns + ` FROM message m
WHERE m.queue_id = $1 AND m.seq > (SELECT GREATEST($2::bigint, purged_upto) FROM queue_seq WHERE id = $1) AND m.seq <= $3
	AND m.expires_at > now() AND m.claim_expires_at < 'infinity' AND ($4::boolean OR m.claim_expires_at <= now())
	AND ($5::uuid IS NULL OR m.client_id IS DISTINCT FROM $5)
ORDER BY m.seq LIMIT $6::int`

// messagesByIDSQL returns those of the numbers $2 of queue $1 that there is a message of.
const messagesByIDSQL = `
SELECT ` + messageColumns + claimColumns + `
FROM unnest($2::bigint[]) AS u(s) JOIN message m ON m.queue_id = $1 AND m.seq = u.s
WHERE m.seq > (SELECT purged_upto FROM queue_seq WHERE id = $1)
	AND m.expires_at > now() AND m.claim_expires_at < 'infinity'`

// delayedColumns are those of an inbox row i, in the order of messageColumns.
const delayedColumns = `0::bigint, i.id, i.created_at, now(), i.ttl, 0, '-infinity'::timestamptz,
	i.codec, i.client_id, NULL::bytea, i.body`

// noClaimColumns are claimColumns of what no claim can hold.
const noClaimColumns = `, NULL::bigint, NULL::bigint, NULL::bigint`

const (
	delayedByIDSQL = `
SELECT ` + delayedColumns + noClaimColumns + ` FROM inbox i
WHERE ` + liveDelayedSQL + ` AND i.id = ANY ($2::bigint[])`
	// delayedSQL lists delayed messages of queue $1 in the order in which they become due, after the one with the id
	// $2 (0: from the first), not those that client $3 posted unless it is null, at most $4. An unknown $2 has no place,
	// which nothing comes after.
	delayedSQL = `
SELECT ` + delayedColumns + noClaimColumns + ` FROM inbox i
WHERE ` + liveDelayedSQL + ` AND (i.due_at, i.id) > (CASE WHEN $2::bigint = 0 THEN '-infinity'::timestamptz
		ELSE (SELECT a.due_at FROM inbox a WHERE a.queue_id = $1 AND a.id = $2) END, $2)
	AND ($3::uuid IS NULL OR i.client_id IS DISTINCT FROM $3)
ORDER BY i.due_at, i.id LIMIT $4::int`
)

// Messages returns a page of a queue's messages in their order; messages that the page leaves out do not count towards
// its limit. A queue that is missing, and a marker that is unknown, list nothing. However many messages the page has to
// pass over, each statement reads only a slice of them; ctx bounds it all.
func (s *Store) Messages(ctx context.Context, key protocol.QueueKey, page protocol.MessagePage) ([]protocol.Message, error) {
	marker := protocol.MessageID{}
	if page.Marker != "" {
		var err error
		if marker, err = protocol.ParseMessageID(page.Marker); err != nil {
			return nil, nil // the id of no message
		}
	}
	info, err := s.resolveID(ctx, key, marker.Queue)
	if errors.Is(err, protocol.ErrNoQueue) || err == nil && !marker.IsZero() && marker.Queue != info.id {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	messages, err := s.listMessages(ctx, info, marker, &page)
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	return messages, nil
}

func (s *Store) listMessages(ctx context.Context, info *queueInfo, marker protocol.MessageID, page *protocol.MessagePage) ([]protocol.Message, error) {
	signer, err := s.claims.signer(ctx)
	if err != nil {
		return nil, err
	}
	after, delayed := marker.N, int64(0)
	if marker.Inbox {
		numbers, err := s.promoted(ctx, info.id, []int64{marker.N})
		if err != nil {
			return nil, err
		}
		if after = numbers[marker.N]; after == 0 {
			delayed = marker.N // still delayed, so after all that are not; or unknown
		}
	}
	var messages []protocol.Message
	if delayed == 0 {
		if messages, err = s.listNumbered(ctx, info, after, page, signer); err != nil {
			return nil, err
		}
	}
	if !page.IncludeDelayed || len(messages) >= page.Limit {
		return messages, nil
	}
	rows, err := s.pool.Query(ctx, delayedSQL, info.id, delayed, notFrom(page), int32(page.Limit-len(messages)))
	if err != nil {
		return nil, s.classify(err)
	}
	messages, err = readMessages(rows, info.id, messages, signer)
	return messages, s.classify(err)
}

// listSlice is the first slice of a listing.
const listSlice = 1024

// listNumbered reads slices until the page is full or the queue at its end.
func (s *Store) listNumbered(ctx context.Context, info *queueInfo, after int64, page *protocol.MessagePage, signer *claimSigner) (messages []protocol.Message, err error) {
	slice := int64(listSlice)
	after = min(after, math.MaxInt64-2*maxSlice) // a marker may be any number; sums with it must not overflow
	for {
		began := time.Now()
		var end, epoch int64
		var b pgx.Batch
		b.Queue(claimEndSQL, info.id).QueryRow(func(row pgx.Row) error { return row.Scan(&end, &epoch) })
		b.Queue(messagesSQL, info.id, after, after+slice, page.IncludeClaimed, notFrom(page), int32(page.Limit-len(messages))).
			Query(func(rows pgx.Rows) error {
				messages, err = readMessages(rows, info.id, messages, signer)
				return err
			})
		err := s.pool.SendBatch(ctx, &b).Close()
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, nil // the queue is gone
		}
		if err != nil {
			return nil, s.classify(err)
		}
		after += slice
		if len(messages) >= page.Limit || after >= end {
			return messages, nil
		}
		slice = nextSlice(slice, listSlice, time.Since(began))
	}
}

// notFrom returns the client whose messages the page leaves out, or nil.
func notFrom(page *protocol.MessagePage) *uuid.UUID {
	if page.Echo {
		return nil
	}
	return &page.ClientID
}

// readMessages appends the messages of a result, with the ids of their claims, to messages.
func readMessages(rows pgx.Rows, queueID int64, messages []protocol.Message, signer *claimSigner) ([]protocol.Message, error) {
	defer rows.Close()
	var mem arena
	for rows.Next() {
		raw := rows.RawValues()
		message, err := readMessage(raw, queueID, &mem)
		if err != nil {
			return messages, err
		}
		message.ClaimID = holderOf(signer, raw, queueID)
		messages = append(messages, message)
	}
	return messages, rows.Err()
}

// Message returns one message, also a claimed or a delayed one. Errors: ErrNoQueue, ErrNoMessage.
func (s *Store) Message(ctx context.Context, key protocol.QueueKey, id string) (*protocol.Message, error) {
	parsed, parseErr := protocol.ParseMessageID(id)
	info, err := s.resolveID(ctx, key, parsed.Queue)
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	if parseErr != nil {
		return nil, fmt.Errorf("read message: %w", protocol.ErrNoMessage)
	}
	found, err := s.messagesByID(ctx, info, []protocol.MessageID{parsed})
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("read message: %w", protocol.ErrNoMessage)
	}
	return &found[0], nil
}

// MessageNumber returns the number that a message got when it left the inbox with that id, also when the message is gone,
// until it would have expired. Errors: ErrNoQueue, ErrNoMessage.
func (s *Store) MessageNumber(ctx context.Context, key protocol.QueueKey, id protocol.MessageID) (int64, error) {
	info, err := s.resolveID(ctx, key, id.Queue)
	if err != nil {
		return 0, fmt.Errorf("look up message: %w", err)
	}
	if !id.Inbox || id.Queue != info.id {
		return 0, fmt.Errorf("look up message: %w", protocol.ErrNoMessage)
	}
	numbers, err := s.promoted(ctx, info.id, []int64{id.N})
	if err != nil {
		return 0, err
	}
	if numbers[id.N] == 0 {
		return 0, fmt.Errorf("look up message: %w", protocol.ErrNoMessage)
	}
	return numbers[id.N], nil
}

// MessagesByID returns messages in the order asked for, leaving out ids of no message. A missing queue has none.
func (s *Store) MessagesByID(ctx context.Context, key protocol.QueueKey, ids []string) ([]protocol.Message, error) {
	parsed, latest := make([]protocol.MessageID, 0, len(ids)), int64(0)
	for _, text := range ids {
		if id, err := protocol.ParseMessageID(text); err == nil {
			parsed = append(parsed, id)
			latest = max(latest, id.Queue)
		}
	}
	info, err := s.resolveID(ctx, key, latest)
	if errors.Is(err, protocol.ErrNoQueue) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	found, err := s.messagesByID(ctx, info, parsed)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return found, nil
}

// messagesByID reads messages of one queue, with the ids of their claims; ids of others are ids of no message.
func (s *Store) messagesByID(ctx context.Context, info *queueInfo, ids []protocol.MessageID) ([]protocol.Message, error) {
	var numbers, delayed []int64
	for _, id := range ids {
		switch {
		case id.Queue != info.id:
		case id.Inbox:
			delayed = append(delayed, id.N)
		default:
			numbers = append(numbers, id.N)
		}
	}
	found := make(map[protocol.MessageID]protocol.Message, len(ids))
	if len(delayed) > 0 {
		// First the inbox, then where its messages go: one that is on its way is found in one of them.
		if err := s.collect(ctx, found, delayedByIDSQL, info.id, delayed); err != nil {
			return nil, err
		}
		promoted, err := s.promoted(ctx, info.id, delayed)
		if err != nil {
			return nil, err
		}
		for _, seq := range promoted {
			numbers = append(numbers, seq)
		}
	}
	if len(numbers) > 0 {
		if err := s.collect(ctx, found, messagesByIDSQL, info.id, numbers); err != nil {
			return nil, err
		}
	}
	var messages []protocol.Message
	for _, id := range ids {
		if message, ok := found[id]; ok {
			messages = append(messages, message)
		}
	}
	return messages, nil
}

// collect reads messages, with the ids of their claims, into found.
func (s *Store) collect(ctx context.Context, found map[protocol.MessageID]protocol.Message, sql string, queueID int64, ns []int64) error {
	signer, err := s.claims.signer(ctx)
	if err != nil {
		return err
	}
	rows, err := s.pool.Query(ctx, sql, queueID, ns)
	if err != nil {
		return s.classify(err)
	}
	defer rows.Close()
	var mem arena
	for rows.Next() {
		raw := rows.RawValues()
		message, err := readMessage(raw, queueID, &mem)
		if err != nil {
			return err
		}
		message.ClaimID = holderOf(signer, raw, queueID)
		found[message.ID] = message
	}
	return s.classify(rows.Err())
}

// holderOf returns the id of the live claim that holds a message, "" if there is none. The claim's columns follow
// messageColumns.
func holderOf(signer *claimSigner, raw [][]byte, queueID int64) string {
	now, until, claim := pgInt64(raw[3]), pgInt64(raw[6]), raw[messageColumnCount:]
	if until <= now || until == pgInfinity || claim[0] == nil || claim[1] == nil || claim[2] == nil {
		return ""
	}
	return signer.text(claimRef{
		queueID: queueID, batch: pgInt64(claim[0]), first: pgInt64(claim[1]), last: pgInt64(claim[2]),
	})
}
