package store

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// benchSubscriptions is among how many durable subscriptions the deliverers work.
const benchSubscriptions = 100_000

func benchDurable(b *testing.B) (*world, *Store) {
	b.Helper()
	w := newWorld(b)
	s := w.store("", still)
	w.fillDurable(benchSubscriptions)
	w.exec(`VACUUM ANALYZE delivery, subscription`)
	return w, s
}

// Looking for free leases where there are none, among 100,000.
func BenchmarkLeaseNone(b *testing.B) {
	w, s := benchDurable(b)
	w.exec(`UPDATE delivery SET lease_until = now() + interval '1 h' WHERE lease_until < now()`)
	for b.Loop() {
		if got, err := s.LeaseDurable(b.Context(), 100, time.Minute, false); err != nil || len(got) != 0 {
			b.Fatal(len(got), err)
		}
	}
}

// Leasing a hundred of 100,000, and giving them back.
func BenchmarkLeaseHundred(b *testing.B) {
	w, s := benchDurable(b)
	w.exec(`UPDATE delivery SET lease_until = now()`)
	for b.Loop() {
		got, err := s.LeaseDurable(b.Context(), 100, time.Minute, false)
		if err != nil || len(got) != 100 {
			b.Fatal(len(got), err)
		}
		leases := make([]protocol.Lease, len(got))
		for i := range got {
			leases[i] = got[i].Lease
		}
		if err := s.ReleaseDurable(b.Context(), leases); err != nil {
			b.Fatal(err)
		}
	}
}

// benchHeld leases everything.
func benchHeld(b *testing.B, w *world, s *Store) []protocol.Lease {
	b.Helper()
	w.exec(`UPDATE delivery SET lease_holder = $1, lease_token = 1, lease_until = now() + interval '1 h'`, s.GatewayID())
	rows, err := w.db.Query(b.Context(), `SELECT subscription_id FROM delivery`)
	if err != nil {
		b.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		b.Fatal(err)
	}
	leases := make([]protocol.Lease, len(ids))
	for i, id := range ids {
		leases[i] = protocol.Lease{ID: id, Token: 1}
	}
	return leases
}

// Renewing 100,000 leases.
func BenchmarkRenewAll(b *testing.B) {
	w, s := benchDurable(b)
	leases := benchHeld(b, w, s)
	for b.Loop() {
		if got, err := s.RenewDurable(b.Context(), leases, time.Hour); err != nil || len(got) != benchSubscriptions {
			b.Fatal(len(got), err)
		}
	}
}

func BenchmarkSaveProgress(b *testing.B) {
	w, s := benchDurable(b)
	leases := benchHeld(b, w, s)
	n := int64(0)
	for b.Loop() {
		n++
		if err := s.SaveProgress(b.Context(), leases[n%100], protocol.Progress{QueueID: 1, Cursor: n}); err != nil {
			b.Fatal(err)
		}
	}
}
