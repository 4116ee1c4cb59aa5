package store

import (
	"bytes"
	"context"
	"encoding/binary"
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
			b.StopTimer()
			checkStored(b, url)
		})
	}
}

// checkStored fails unless exactly b.N messages are in the table, each queue's without a hole, on a server that syncs:
// a figure of something else is worth nothing.
func checkStored(b *testing.B, url string) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	var rows, holes int
	var fsync, commit string
	err = conn.QueryRow(b.Context(), `SELECT (SELECT count(*) FROM message),
		(SELECT count(*) FROM queue_seq q WHERE next_seq - 1 <> (SELECT count(*) FROM message m WHERE m.queue_id = q.id)),
		current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&rows, &holes, &fsync, &commit)
	if err != nil {
		b.Fatal(err)
	}
	if rows != b.N || holes != 0 || fsync != "on" || commit != "on" {
		b.Fatalf("%d rows of %d, %d queues with holes, fsync %s, synchronous_commit %s", rows, b.N, holes, fsync, commit)
	}
}

// copyRows is how many rows benchCopy sends per transaction.
const copyRows = 10_000

// benchCopy is what the others are to be compared with: raw COPY of the same rows, encoded ahead, so that it measures
// the server and not the client.
func benchCopy(b *testing.B, url string) {
	benchStore(b, url, nil)
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	stream, rowBytes := copyStream(benchBody())
	sent := 0
	b.ResetTimer()
	for ; sent < b.N; sent += copyRows {
		for i := range copyRows { // the row's second column, behind its field count and the first column
			binary.BigEndian.PutUint64(stream[copyHeader+i*rowBytes+2+12+4:], uint64(sent+i+1))
		}
		_, err := conn.PgConn().CopyFrom(b.Context(), bytes.NewReader(stream),
			`COPY message (queue_id, seq, created_at, expires_at, ttl, client_id, codec, body) FROM STDIN (FORMAT binary)`)
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "msg/s")
}

// copyHeader is the size of what stands ahead of the rows of a binary COPY.
const copyHeader = 19

// copyStream encodes copyRows rows, and returns the size of one.
func copyStream(body []byte) (stream []byte, rowBytes int) {
	field := func(row, value []byte) []byte {
		return append(binary.BigEndian.AppendUint32(row, uint32(len(value))), value...)
	}
	n8 := func(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }
	now := time.Now().UnixMicro() - pgEpochMicros
	row := binary.BigEndian.AppendUint16(nil, 8)
	for _, value := range [][]byte{
		n8(1), n8(0), n8(now), n8(now + time.Hour.Microseconds()), {0, 0, 14, 16}, poster[:], {0, 0}, body,
	} {
		row = field(row, value)
	}
	stream = append(stream, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	for range copyRows {
		stream = append(stream, row...)
	}
	return append(stream, 0xff, 0xff), len(row)
}
