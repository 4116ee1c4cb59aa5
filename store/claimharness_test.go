package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// world is a database and the gateways' stores on it.
type world struct {
	t   testing.TB
	url string
	db  *pgxpool.Pool // the test's own way in
}

// newWorld makes a database of the test's own.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, url: storetest.URL(t)}
	db, err := pgxpool.New(context.Background(), w.url) // closed by the cleanup below
	if err != nil {
		t.Fatal(err)
	}
	w.db = db
	t.Cleanup(db.Close)
	return w
}

// store opens and starts a store, stopped at the test's end. An empty url is the database's own.
func (w *world) store(url string, edit func(*Config)) *Store {
	w.t.Helper()
	if url == "" {
		url = w.url
	}
	cfg := DefaultConfig()
	cfg.DatabaseURL = url
	cfg.MaxConns = 10
	cfg.Claims.Timeout = 10 * time.Second // slow machines under the race detector
	if edit != nil {
		edit(&cfg)
	}
	return w.openWith(cfg, nil)
}

// openWith opens and starts a store with an observer, if it is not nil.
func (w *world) openWith(cfg Config, observer Observer) *Store {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := Open(ctx, cfg, zerolog.Nop())
	if err != nil {
		w.t.Fatal(err)
	}
	if observer != nil {
		s.SetObserver(observer)
	}
	s.Start()
	w.t.Cleanup(func() {
		// The test's context is over when cleanups run.
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		s.Stop(ctx)
	})
	return s
}

// exec runs SQL behind the stores' backs and returns the number of rows it changed.
func (w *world) exec(sql string, args ...any) int64 {
	w.t.Helper()
	tag, err := w.db.Exec(context.Background(), sql, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return tag.RowsAffected()
}

// number runs SQL that returns one number.
func (w *world) number(sql string, args ...any) (n int64) {
	w.t.Helper()
	if err := w.db.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

var queueNumber atomic.Int64

// newKey names a queue that no other test uses.
func newKey() protocol.QueueKey {
	return protocol.QueueKey{Project: "p", Name: "q" + strconv.FormatInt(queueNumber.Add(1), 10)}
}

// told is a Waiter that a test waits for.
type told chan struct{}

func (w told) Done() { close(w) }

func (told) Flush() {}

var poster = uuid.MustParse("3381af92-2b9e-11e3-b191-71861300734c")

// post posts n messages with the bodies 0, 1, ….
func (w *world) post(s *Store, key protocol.QueueKey, n int) []protocol.MessageID {
	w.t.Helper()
	messages := make([]protocol.NewMessage, n)
	for i := range messages {
		messages[i] = protocol.NewMessage{Body: []byte(strconv.Itoa(i)), TTL: 3600}
	}
	return w.postAll(s, key, messages)
}

func (w *world) postAll(s *Store, key protocol.QueueKey, messages []protocol.NewMessage) []protocol.MessageID {
	w.t.Helper()
	done := make(told)
	p := &protocol.Post{Queue: key, ClientID: poster, Messages: messages, Waiter: done}
	s.Post(p)
	<-done
	if p.Err != nil {
		w.t.Fatal(p.Err)
	}
	return p.IDs
}

// startClaim hands a claim to the store.
func startClaim(s *Store, key protocol.QueueKey, limit int, ttl, grace int32) (*protocol.ClaimOp, told) {
	done := make(told)
	op := &protocol.ClaimOp{Queue: key, Limit: limit, TTL: ttl, Grace: grace, Waiter: done}
	s.Claim(op)
	return op, done
}

func tryClaim(s *Store, key protocol.QueueKey, limit int) *protocol.ClaimOp {
	op, done := startClaim(s, key, limit, 300, 60)
	<-done
	return op
}

// claim claims and expects no error.
func (w *world) claim(s *Store, key protocol.QueueKey, limit int) *protocol.ClaimOp {
	w.t.Helper()
	op := tryClaim(s, key, limit)
	if op.Err != nil {
		w.t.Fatal(op.Err)
	}
	return op
}

// remove deletes and returns the operation's error.
func remove(s *Store, key protocol.QueueKey, fenced bool, ids []protocol.MessageID, claims ...string) error {
	done := make(told)
	op := &protocol.DeleteOp{Queue: key, IDs: ids, Fenced: fenced, ClaimIDs: claims, Waiter: done}
	s.Delete(op)
	<-done
	return op.Err
}

func idsOf(messages []protocol.Message) []protocol.MessageID {
	ids := make([]protocol.MessageID, len(messages))
	for i := range messages {
		ids[i] = messages[i].ID
	}
	return ids
}

func seqsOf(messages []protocol.Message) string {
	text := ""
	for i := range messages {
		text += fmt.Sprintf(" %d", messages[i].Seq)
	}
	return text
}

// wantErr fails the test unless err is want (nil: no error).
func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// wantSeqs fails the test unless the messages have the numbers, in that order.
func wantSeqs(t testing.TB, what string, messages []protocol.Message, seqs ...int64) {
	t.Helper()
	want := ""
	for _, seq := range seqs {
		want += fmt.Sprintf(" %d", seq)
	}
	if got := seqsOf(messages); got != want {
		t.Errorf("%s: got numbers%s, want%s", what, got, want)
	}
}

// removed is how many messages of a queue are counted as taken out.
func (w *world) removed(queueID int64) int64 {
	w.t.Helper()
	return w.number(`SELECT COALESCE(sum(n.removed), 0)::bigint FROM queue_count n JOIN queue_seq c ON c.id = n.queue_id
		WHERE n.queue_id = $1 AND n.epoch = c.purge_epoch`, queueID)
}

// witness is an Observer that remembers.
type witness struct {
	committed chan protocol.Committed
	released  chan int64
}

func newWitness() *witness {
	return &witness{committed: make(chan protocol.Committed, 100), released: make(chan int64, 100)}
}

func (w *witness) Committed(batch []protocol.Committed) {
	for _, c := range batch {
		w.committed <- protocol.Committed{Queue: c.Queue, QueueID: c.QueueID, First: c.First, IDs: append([]protocol.MessageID(nil), c.IDs...), Origins: c.Origins}
	}
}

func (*witness) QueueChanged(protocol.QueueKey, int64) {}

func (w *witness) Released(_ protocol.QueueKey, _, seq int64) { w.released <- seq }
