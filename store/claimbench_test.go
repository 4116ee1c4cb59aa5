package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// fillQueue writes n messages of 256 bytes straight into a queue.
func fillQueue(b *testing.B, url string, s *Store, key protocol.QueueKey, n int) {
	b.Helper()
	head, err := s.Head(b.Context(), key)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{
		fmt.Sprintf(`INSERT INTO message (queue_id, seq, created_at, expires_at, ttl, client_id, body)
			SELECT %d, %d + i, now(), now() + interval '1 day', 86400, gen_random_uuid(), '%s' FROM generate_series(1, %d) i`,
			head.QueueID, head.Last, benchBody(), n),
		fmt.Sprintf(`UPDATE queue_seq SET next_seq = %d WHERE id = %d`, head.Last+int64(n)+1, head.QueueID),
		`DELETE FROM queue_watch`,
		`VACUUM ANALYZE message`,
		`CHECKPOINT`,
	} {
		if _, err := conn.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkClaimDelete claims and deletes from 64 callers that wait for each answer, fsync on, so many messages per
// claim: alone, with 10,000 messages in flight at the head of the queue, and with an idle transaction that keeps every
// dead row from being reaped.
func BenchmarkClaimDelete(b *testing.B) {
	url := durable(b)
	for _, limit := range []int{20, 1} {
		for _, load := range []string{"alone", "in flight", "idle transaction"} {
			b.Run(fmt.Sprintf("limit=%d/%s", limit, load), func(b *testing.B) {
				s, key := benchStore(b, url, nil), newKey()
				if load == "in flight" {
					fillQueue(b, url, s, key, 10_000)
					for range 10_000 / 1000 {
						tryClaim(s, key, 1000)
					}
				}
				fillQueue(b, url, s, key, b.N+10*64*limit)
				if load == "idle transaction" {
					end := idleTransaction(b, url)
					defer end()
				}
				b.ResetTimer()
				claimAndDelete(b, s, key, limit)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			})
		}
	}
}

// idleTransaction opens a transaction that holds a snapshot until the returned function is called.
func idleTransaction(b *testing.B, url string) (end func()) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Exec(b.Context(), `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM queue`); err != nil {
		b.Fatal(err)
	}
	return func() { _ = conn.Close(context.Background()) }
}

// claimAndDelete consumes b.N messages.
func claimAndDelete(b *testing.B, s *Store, key protocol.QueueKey, limit int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			wait := benchWaiter{make(chan struct{}, 1)}
			for left.Load() > 0 {
				claim := &protocol.ClaimOp{Queue: key, Limit: limit, TTL: 300, Grace: 60, Waiter: wait}
				s.Claim(claim)
				<-wait.c
				if claim.Err != nil || len(claim.Messages) == 0 {
					b.Errorf("claim of %d messages: %v", len(claim.Messages), claim.Err)
					return
				}
				del := &protocol.DeleteOp{Queue: key, IDs: idsOf(claim.Messages), Fenced: true, ClaimIDs: []string{claim.ClaimID}, Waiter: wait}
				s.Delete(del)
				<-wait.c
				if del.Err != nil {
					b.Errorf("delete: %v", del.Err)
					return
				}
				left.Add(-int64(len(claim.Messages)))
			}
		})
	}
	callers.Wait()
}

// BenchmarkClaimNothing polls an empty queue whose 10,000 messages are all claimed, from 64 callers.
func BenchmarkClaimNothing(b *testing.B) {
	url := durable(b)
	s, key := benchStore(b, url, nil), newKey()
	fillQueue(b, url, s, key, 10_000)
	for range 10 {
		tryClaim(s, key, 1000)
	}
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var slowest atomic.Int64
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for left.Add(-1) >= 0 {
				began := time.Now()
				if op := tryClaim(s, key, 20); op.Err != nil || len(op.Messages) > 0 {
					b.Errorf("claimed %d: %v", len(op.Messages), op.Err)
				}
				took := int64(time.Since(began))
				for was := slowest.Load(); took > was && !slowest.CompareAndSwap(was, took); was = slowest.Load() {
				}
			}
		})
	}
	callers.Wait()
	b.ReportMetric(float64(slowest.Load())/1e6, "slowest-ms")
}

// BenchmarkClaimDeleteReference is what the shortest statements that claim and delete reach, 640 messages each on a
// connection of its own: no claim counts, grace, ids, tombstones, or counting. Run it in the same minutes as
// BenchmarkClaimDelete and state that as a ratio to this.
func BenchmarkClaimDeleteReference(b *testing.B) {
	s, key := benchStore(b, durable(b), nil), newKey()
	fillQueue(b, s.cfg.DatabaseURL, s, key, b.N+10_000)
	head, err := s.Head(b.Context(), key)
	if err != nil {
		b.Fatal(err)
	}
	claimed := make(chan []int64, 1)
	b.ResetTimer()
	var deleter sync.WaitGroup
	deleter.Go(func() {
		for seqs := range claimed {
			_, err := s.pool.Exec(context.Background(), `DELETE FROM message m USING unnest($2::bigint[]) AS u(s)
				WHERE m.queue_id = $1 AND m.seq = u.s AND m.claim_batch = 1`, head.QueueID, seqs)
			if err != nil {
				b.Error(err)
			}
		}
	})
	floor := int64(0)
	for n := 0; n < b.N; {
		rows, err := s.pool.Query(b.Context(), `UPDATE message SET claim_batch = 1, claim_expires_at = now() + interval '300 s'
			WHERE ctid = ANY (ARRAY (SELECT ctid FROM message
				WHERE queue_id = $1 AND seq > $2 AND claim_expires_at <= now() AND expires_at > now()
				ORDER BY seq LIMIT 640 FOR UPDATE SKIP LOCKED))
			RETURNING seq, body`, head.QueueID, floor)
		if err != nil {
			b.Fatal(err)
		}
		var seqs []int64
		for rows.Next() {
			seqs = append(seqs, pgInt64(rows.RawValues()[0]))
		}
		if rows.Err() != nil || len(seqs) == 0 {
			b.Fatal(rows.Err())
		}
		n += len(seqs)
		floor = seqs[len(seqs)-1]
		claimed <- seqs
	}
	close(claimed)
	deleter.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
