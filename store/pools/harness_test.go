package pools

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
	"github.com/nusku-messaging/nusku/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(m, func(url string) error {
		// There is no test yet whose context it could be.
		return store.Migrate(context.Background(), url, zerolog.Nop())
	})
}

// patience bounds waits for what is to come.
const patience = 30 * time.Second

// world is the databases of a test.
type world struct {
	t   testing.TB
	url string // of the default pool
}

func newWorld(t testing.TB) *world { return &world{t: t, url: storetest.URL(t)} }

// quick makes polls short, for tests that wait for them.
func quick(cfg *Config) {
	cfg.Poll, cfg.RetryMin, cfg.RetryMax = 100*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
	cfg.Ping = 100 * time.Millisecond
}

// slow makes polls so long that no test waits for them.
func slow(cfg *Config) { cfg.Poll, cfg.Ping = time.Minute, time.Minute }

// router opens and starts a gateway's Router, stopped at the test's end.
func (w *world) router(edit func(*Config)) *Router { return w.routerAt(w.url, edit) }

func (w *world) routerAt(url string, edit func(*Config)) *Router {
	w.t.Helper()
	cfg := DefaultConfig()
	cfg.MaxConns = 6
	if edit != nil {
		edit(&cfg)
	}
	base := store.DefaultConfig()
	base.DatabaseURL, base.MaxConns = url, 6
	base.StatsClaimedAge = 0
	r, err := Open(w.t.Context(), cfg, Parts{Store: base}, zerolog.Nop())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		// The test's own context has ended.
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r.Stop(ctx)
	})
	if err := r.Start(nil); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// db returns a connection pool of a database.
func (w *world) db(url string) *pgxpool.Pool {
	w.t.Helper()
	db, err := pgxpool.New(context.Background(), url) // closed by the cleanup
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(db.Close)
	return db
}

// number runs SQL that returns one number.
func (w *world) number(db *pgxpool.Pool, sql string, args ...any) (n int64) {
	w.t.Helper()
	if err := db.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) exec(db *pgxpool.Pool, sql string, args ...any) {
	w.t.Helper()
	if _, err := db.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// pool makes a pool on a database of its own and returns its id and the database's address.
func (w *world) pool(r *Router, name string, weight int64) (id int64, url string) {
	w.t.Helper()
	url = storetest.URL(w.t)
	return w.poolAt(r, name, url, weight), url
}

func (w *world) poolAt(r *Router, name, url string, weight int64) (id int64) {
	w.t.Helper()
	if err := r.CreatePool(w.t.Context(), protocol.Pool{Name: name, URI: url, Weight: weight}); err != nil {
		w.t.Fatal(err)
	}
	row, err := r.catalogue.Pool(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return row.ID
}

// place makes a queue in the given pool, whatever its weight.
func (w *world) place(r *Router, name string, pool int64) protocol.QueueKey {
	w.t.Helper()
	k := key(name)
	if pool == 0 {
		if _, err := r.first.Adopt(w.t.Context(), k, w.number(w.db(w.url), `SELECT nextval('queue_id_seq')`), []byte("{}")); err != nil {
			w.t.Fatal(err)
		}
		return k
	}
	if _, err := r.catalogue.Place(w.t.Context(), k, []byte("{}"), pool); err != nil {
		w.t.Fatal(err)
	}
	if _, err := r.Queue(w.t.Context(), k); err != nil {
		w.t.Fatal(err)
	}
	return k
}

// where returns the pool that a queue is in.
func (w *world) where(r *Router, k protocol.QueueKey) int64 {
	w.t.Helper()
	placed, _, err := r.catalogue.PlaceOf(w.t.Context(), k)
	if err != nil {
		w.t.Fatal(err)
	}
	return placed.Pool
}

func key(name string) protocol.QueueKey { return protocol.QueueKey{Project: "p", Name: name} }

// startPost posts messages with these bodies.
func startPost(r *Router, k protocol.QueueKey, bodies ...string) (*protocol.Post, waiter) {
	p, done := &protocol.Post{Queue: k}, make(waiter)
	p.Waiter = done
	for _, body := range bodies {
		p.Messages = append(p.Messages, protocol.NewMessage{Body: []byte(strconv.Quote(body)), TTL: 3600})
	}
	r.Post(p)
	return p, done
}

func tryPost(r *Router, k protocol.QueueKey, bodies ...string) ([]protocol.MessageID, error) {
	p, done := startPost(r, k, bodies...)
	<-done
	return p.IDs, p.Err
}

func (w *world) post(r *Router, k protocol.QueueKey, bodies ...string) []protocol.MessageID {
	w.t.Helper()
	ids, err := tryPost(r, k, bodies...)
	if err != nil {
		w.t.Fatal(err)
	}
	return ids
}

func tryClaim(r *Router, k protocol.QueueKey, limit int) *protocol.ClaimOp {
	done := make(waiter)
	op := &protocol.ClaimOp{Queue: k, Limit: limit, TTL: 300, Grace: 60, Waiter: done}
	r.Claim(op)
	<-done
	return op
}

func (w *world) claim(r *Router, k protocol.QueueKey, limit int) *protocol.ClaimOp {
	w.t.Helper()
	op := tryClaim(r, k, limit)
	if op.Err != nil {
		w.t.Fatal(op.Err)
	}
	return op
}

func remove(r *Router, k protocol.QueueKey, ids []protocol.MessageID, claims ...string) error {
	done := make(waiter)
	op := &protocol.DeleteOp{Queue: k, IDs: ids, Fenced: len(claims) > 0, ClaimIDs: claims, Waiter: done}
	r.Delete(op)
	<-done
	return op.Err
}

// bodies lists a queue's messages.
func (w *world) bodies(r *Router, k protocol.QueueKey) string {
	w.t.Helper()
	list, err := r.Messages(w.t.Context(), k, protocol.MessagePage{Limit: 1000, Echo: true, IncludeClaimed: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return bodiesOf(list)
}

func bodiesOf(list []protocol.Message) string {
	var texts []string
	for i := range list {
		text, err := strconv.Unquote(string(list[i].Body))
		if err != nil {
			text = string(list[i].Body)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

// wantErr fails the test unless err is want (nil: no error).
func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// eventually waits until ok says true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}
