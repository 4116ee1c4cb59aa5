package store

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/pgserver"
)

// durable starts a PostgreSQL that really writes to the disk, with an empty migrated database. Call it from the
// top-level benchmark: it takes seconds.
func durable(b *testing.B) (url string) {
	b.Helper()
	dir, err := os.MkdirTemp("", "nusku-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	server, err := pgserver.Start(b.Context(), pgserver.Config{DataDir: dir, Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Stop(context.Background()) }) // the benchmark's own context is over by then
	if err := Migrate(b.Context(), server.URL(), zerolog.Nop()); err != nil {
		b.Fatal(err)
	}
	return server.URL()
}

// benchStore opens a store on the durable server, emptied.
func benchStore(b *testing.B, url string, edit func(*Config)) *Store {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(b.Context(), `TRUNCATE message, inbox, promoted, queue, queue_seq, queue_count, queue_watch, dropped_queue`); err != nil {
		b.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.DatabaseURL = url
	if edit != nil {
		edit(&cfg)
	}
	s, err := Open(b.Context(), cfg, zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	b.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

func benchBody() []byte {
	body := make([]byte, 0, 256)
	body = append(body, `{"event": "`...)
	for len(body) < 254 {
		body = append(body, 'x')
	}
	return append(body, `"}`...)
}

type benchWaiter struct{ c chan struct{} }

func (w benchWaiter) Done()  {}
func (w benchWaiter) Flush() { w.c <- struct{}{} }

// BenchmarkPost posts messages of 256 bytes, one per post, from posters that wait for each answer.
func BenchmarkPost(b *testing.B) {
	url := durable(b)
	b.Run("copy", func(b *testing.B) { benchCopy(b, url) })
	for _, c := range []struct{ posters, queues int }{{1, 1}, {64, 1}, {1000, 1}, {1000, 100}} {
		b.Run(fmt.Sprintf("posters=%d/queues=%d", c.posters, c.queues), func(b *testing.B) {
			s := benchStore(b, url, nil)
			body := benchBody()
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for n := range c.posters {
				wg.Go(func() {
					w := benchWaiter{make(chan struct{}, 1)}
					p := &protocol.Post{
						Queue: protocol.QueueKey{Project: "p", Name: strconv.Itoa(n % c.queues)}, ClientID: poster, Waiter: w,
						Messages: []protocol.NewMessage{{Body: body, TTL: 3600}},
					}
					for left.Add(-1) >= 0 {
						s.Post(p)
						<-w.c
						if p.Err != nil {
							b.Error(p.Err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// benchCopy is what the others are to be compared with: raw COPY of the same rows, 10,000 per transaction.
func benchCopy(b *testing.B, url string) {
	benchStore(b, url, nil)
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	body, now := benchBody(), time.Now()
	var seq int64
	b.ResetTimer()
	for left := b.N; left > 0; left -= 10_000 {
		n := min(left, 10_000)
		_, err := conn.CopyFrom(b.Context(), pgx.Identifier{"message"},
			[]string{"queue_id", "seq", "created_at", "expires_at", "ttl", "client_id", "codec", "body"},
			pgx.CopyFromSlice(n, func(int) ([]any, error) {
				seq++
				return []any{int64(1), seq, now, now.Add(time.Hour), int32(3600), poster, int16(0), body}, nil
			}))
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
