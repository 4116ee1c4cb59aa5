package store

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/nusku-messaging/nusku/protocol"
)

// A database of the version before, with subscriptions in it, goes on with them; and back.
func TestMigrateDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	config, err := pgx.ParseConfig(w.url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*config)
	defer func() { wantErr(t, "close", db.Close(), nil) }()
	provider, err := newProvider(db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	w.exec(`INSERT INTO queue (project, name) VALUES ('p', 'there')`)
	w.exec(`INSERT INTO queue_seq (id, next_seq) SELECT id, 8 FROM queue`)
	w.exec(`INSERT INTO queue_watch SELECT id, now() + interval '1 min' FROM queue`)
	there, gone, socket := uuid.New(), uuid.New(), uuid.New()
	insert := `INSERT INTO subscription (id, project, queue_name, subscriber, ttl, expires_at, confirmed, gateway_id, cursor)
		VALUES ($1, 'p', $2, 'http://h/' || $2, 3600, now() + interval '1 h', $3, $4, NULL)`
	w.exec(insert, there, "there", true, nil)
	w.exec(insert, gone, "gone", false, nil)
	w.exec(insert, socket, "socket", false, uuid.New())
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := w.store("", still)
	leased, err := s.LeaseDurable(t.Context(), 10, 1e9, true)
	if err != nil || len(leased) != 2 {
		t.Fatalf("leased %d, %v", len(leased), err)
	}
	id := w.number(`SELECT id FROM queue`)
	for _, d := range leased {
		switch {
		case len(d.Secrets) != 1 || len(d.Secrets[0]) != 32:
			t.Errorf("secrets: %x", d.Secrets)
		case d.ID == there && (d.QueueID != id || d.Cursor != 7 || !d.Subscription.Confirmed):
			t.Errorf("of a queue that is there: %+v", d)
		case d.ID == gone && (d.QueueID != 0 || d.Cursor != 0 || d.Subscription.Confirmed):
			t.Errorf("of a queue that is gone: %+v", d)
		}
	}
	if got := w.watchedFor(protocol.QueueKey{Project: "p", Name: "there"}); got < 3500 {
		t.Errorf("the queue is observed for %d s", got)
	}
	if _, err := s.Subscription(t.Context(), protocol.QueueKey{Project: "p", Name: "gone"}, gone); err != nil {
		t.Error(err)
	}
	if _, err := provider.DownTo(t.Context(), 1); err != nil {
		t.Error(err)
	}
	if n := w.number(`SELECT count(*) FROM subscription WHERE cursor IS NULL`); n != 3 {
		t.Errorf("%d subscriptions on the way back", n)
	}
}
