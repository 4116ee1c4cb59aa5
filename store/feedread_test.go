package store

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestFeedGaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, key, ctx := w.store("", nil), newKey(), t.Context()
	ids := w.post(s, key, 30)
	queueID := ids[0].Queue
	// 1-4 purged, 5-6 swept for their age, 8 expired but there, 10 consumed, 12-14 never given out, 20 consumed.
	w.exec(`UPDATE queue_seq SET purged_upto = 4, jumped_from = 12, jumped_upto = 14 WHERE id = $1`, queueID)
	w.exec(`INSERT INTO queue_count (queue_id, epoch, slot, expired_upto) VALUES ($1, 0, 999, 6)`, queueID)
	w.exec(`DELETE FROM message WHERE seq IN (1, 2, 5, 6, 10, 12, 13, 14, 20)`)
	w.exec(`UPDATE message SET expires_at = now() - interval '1 s' WHERE seq = 8`)
	for _, test := range []struct {
		cursor      int64
		rows, bytes int
		want        string
	}{
		{0, 100, 1000, "[{1 4 purged} {5 6 expired} {8 8 expired} {10 10 consumed} {12 14 failover} {20 20 consumed}] 7..30 upto 30"},
		{9, 100, 1000, "[{10 10 consumed} {12 14 failover} {20 20 consumed}] 11..30 upto 30"},
		{9, 3, 1000, "[{10 10 consumed} {12 14 failover}] 11..16 upto 16"},
		{7, 1, 1000, "[{8 8 expired}] 0..0 upto 8"},
		{15, 100, 3, "[] 16..17 upto 17"},
		{15, 100, 0, "[] 16..16 upto 16"},
		{19, 1, 1000, "[{20 20 consumed}] 21..21 upto 21"},
		{30, 100, 1000, "[] 0..0 upto 30"},
		{35, 100, 1000, "[] 0..0 upto 35"},
	} {
		page, err := s.Feed(ctx, key, queueID, test.cursor, test.rows, test.bytes)
		wantErr(t, "feed", err, nil)
		var first, last int64
		if n := len(page.Messages); n > 0 {
			first, last = page.Messages[0].Seq, page.Messages[n-1].Seq
		}
		gaps := make([]protocol.Gap, 0)
		gaps = append(gaps, page.Gaps...)
		if got := fmt.Sprintf("%v %d..%d upto %d", gaps, first, last, page.Upto); got != test.want {
			t.Errorf("feed from %d, %d rows, %d bytes:\n got %s\nwant %s", test.cursor, test.rows, test.bytes, got, test.want)
		}
		if page.Head != (protocol.Head{QueueID: queueID, Last: 30}) {
			t.Errorf("feed's head: %+v", page.Head)
		}
	}
	wantErr(t, "delete queue", s.DeleteQueue(ctx, key), nil)
	_, err := s.Feed(ctx, key, queueID, 0, 10, 10)
	wantErr(t, "feed of a deleted queue", err, protocol.ErrNoQueue)
}

// Whatever the marks say, messages and gaps together cover each number once.
func TestFeedCoversEveryNumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 40)
		marks := feedMarks{purged: n.Draw(t, "purged"), jumpedFrom: n.Draw(t, "from"), expired: n.Draw(t, "expired")}
		marks.jumpedUpto = marks.jumpedFrom + rapid.Int64Range(-1, 9).Draw(t, "jumped")
		cursor, upto := int64(0), rapid.Int64Range(1, 40).Draw(t, "upto")
		holes := holeFinder{upto: cursor}
		covered := make(map[int64]int)
		for seq := cursor + 1; seq <= upto; seq++ {
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				holes.present(marks, seq)
				covered[seq]++
			case 1:
				holes.expired(marks, seq)
			}
		}
		holes.missing(marks, upto)
		for i, gap := range holes.gaps {
			if gap.From > gap.To || i > 0 && gap.From <= holes.gaps[i-1].To {
				t.Fatalf("gaps %v", holes.gaps)
			}
			for seq := gap.From; seq <= gap.To; seq++ {
				covered[seq]++
			}
		}
		for seq := cursor + 1; seq <= upto; seq++ {
			if covered[seq] != 1 {
				t.Fatalf("number %d is covered %d times: %v", seq, covered[seq], holes.gaps)
			}
		}
		if len(covered) != int(upto-cursor) {
			t.Fatalf("%d numbers covered of %d", len(covered), upto-cursor)
		}
	})
}

func TestHeads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, one, two, ctx := w.store("", nil), newKey(), newKey(), t.Context()
	made, err := s.Head(ctx, one)
	if err != nil || made.Last != 0 || made.QueueID == 0 {
		t.Fatalf("head of a new queue: %+v, %v", made, err)
	}
	posted := w.post(s, two, 3)[0].Queue
	heads, err := s.Heads(ctx, []int64{made.QueueID, posted, 999999})
	if err != nil || len(heads) != 2 || heads[made.QueueID] != 0 || heads[posted] != 3 {
		t.Errorf("heads %v, %v", heads, err)
	}
	wantErr(t, "observe", s.Observe(ctx, []int64{posted, made.QueueID, posted, 999999}), nil)
	if n := w.number(`SELECT count(*) FROM queue_watch WHERE observed_until > now() + interval '50 s'`); n != 2 {
		t.Errorf("%d queues observed, want 2", n)
	}
	// The other gateway's cache has the old queue.
	other := w.store("", nil)
	w.claim(other, two, 1)
	wantErr(t, "delete queue", s.DeleteQueue(ctx, two), nil)
	head, err := other.Head(ctx, two)
	if err != nil || head.QueueID == posted || head.Last != 0 {
		t.Errorf("head of a queue made again: %+v, %v", head, err)
	}
}
