package bench

import (
	"context"
	"fmt"
	"strings"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// claimer keeps sessions claiming messages and deleting what they claimed.
type claimer struct {
	r     *run
	conns []*conn
	// workers is what each session is doing.
	workers map[*conn]*worker
	limit   int
	keep    bool // leave the messages claimed
	seen    bitmap
	// available is how many messages were posted so far, want how many there will be; -1 while that is open.
	available func() int64
	want      int64
	// onDelete, if it is set, is told of each successful deletion.
	onDelete func()

	outstanding int
	parked      []*conn
	claimed     int64
	deleted     int64
	empty       int64
}

// worker is a session that claims.
type worker struct {
	claim *template
	// deletes is the start of the frame that deletes, up to the ids.
	deletes  string
	ids      []byte // of the messages being deleted, as JSON
	n        int
	deleting bool
	sent     int64
}

func (r *run) newClaimer(conns []*conn, limit int, messages int64) *claimer {
	k := &claimer{r: r, conns: conns, workers: map[*conn]*worker{}, limit: limit, seen: newBitmap(messages), want: messages}
	k.available = func() int64 { return messages }
	for _, c := range conns {
		queue := r.queues[c.queue]
		d := r.dialect(c)
		w := &worker{claim: d.template("claim_create", fmt.Sprintf(`{"queue_name":%q,"limit":%d,"ttl":3600,"grace":60}`, queue, limit))}
		w.deletes = d.request("message_delete_many", fmt.Sprintf(`{"queue_name":%q,"message_ids":[`, queue))
		if limit == 1 {
			w.deletes = d.request("message_delete", fmt.Sprintf(`{"queue_name":%q,`, queue))
		}
		w.deletes = strings.TrimSuffix(w.deletes, "}")
		k.workers[c] = w
		c.onFrame = func(payload []byte) error { return k.reply(c, w, payload) }
	}
	return k
}

// start sends every session's first claim.
func (k *claimer) start() {
	k.r.loop.now = k.r.loop.clock()
	for _, c := range k.conns {
		k.claim(c)
	}
}

// claim asks for messages, unless there are none.
func (k *claimer) claim(c *conn) {
	if k.claimed >= k.available() {
		k.parked = append(k.parked, c)
		return
	}
	w := k.workers[c]
	w.deleting, w.sent = false, k.r.loop.now
	c.out = w.claim.append(c.out, 0, 0)
	k.outstanding++
	k.r.loop.send(c)
}

// wake lets parked sessions try again.
func (k *claimer) wake() {
	if k.claimed >= k.available() {
		return
	}
	parked := k.parked
	k.parked = nil
	for _, c := range parked {
		k.claim(c)
	}
}

func (k *claimer) reply(c *conn, w *worker, payload []byte) error {
	if w.deleting {
		k.onDeleted(c, w, payload)
		return nil
	}
	k.outstanding--
	k.r.record("claim", k.r.loop.now-w.sent)
	switch s := status(payload); s {
	case 201:
		k.onClaimed(c, w, payload)
	case 204:
		k.empty++
		k.parked = append(k.parked, c)
	default:
		k.r.result.violate("a claim was answered %d: %.300s", s, payload)
		k.parked = append(k.parked, c)
	}
	if k.outstanding == 0 { // nobody else will find what is left
		k.wake()
	}
	return nil
}

// onClaimed notes the messages of a claim and deletes them.
func (k *claimer) onClaimed(c *conn, w *worker, reply []byte) {
	w.ids, w.n = w.ids[:0], 0
	eachMessage(reply, func(id []byte, number int64) {
		if !k.seen.set(number) {
			k.r.result.violate("message %d (%s) was claimed twice, or never posted", number, id)
		}
		if w.n > 0 {
			w.ids = append(w.ids, ',')
		}
		w.ids = append(append(append(w.ids, '"'), id...), '"')
		w.n++
	})
	if w.n == 0 || w.n > k.limit {
		k.r.result.violate("a claim of %d messages was answered with %d", k.limit, w.n)
	}
	k.claimed += int64(w.n)
	k.wakeOne() // where there was something there may be more
	if k.keep {
		k.claim(c)
		return
	}
	w.deleting, w.sent = true, k.r.loop.now
	if k.limit == 1 {
		body := fmt.Appendf([]byte(w.deletes), `"message_id":%s,"claim_id":"%s"}}`, w.ids, claimID(reply))
		c.out = appendFrame(c.out, opText, body)
	} else {
		c.out = appendFrame(c.out, opText, append(append([]byte(w.deletes), w.ids...), `]}}`...))
	}
	k.r.loop.send(c)
}

// onDeleted claims the next messages.
func (k *claimer) onDeleted(c *conn, w *worker, payload []byte) {
	k.r.record("delete", k.r.loop.now-w.sent)
	if s := status(payload); s != 204 {
		k.r.result.violate("a deletion was answered %d: %.300s", s, payload)
	}
	k.deleted += int64(w.n)
	w.deleting = false
	if k.onDelete != nil {
		k.onDelete()
	}
	k.claim(c)
}

// finished says that all messages were claimed and, unless they are kept, deleted.
func (k *claimer) finished() bool {
	return k.want >= 0 && k.claimed >= k.want && k.outstanding == 0 && (k.keep || k.deleted >= k.claimed)
}

// fill posts n messages as fast as it goes.
func (r *run) fill(conns []*conn, n int) error {
	perPost := 1
	for _, size := range []int{10, 5, 2} {
		if n%size == 0 {
			perPost = size
			break
		}
	}
	p := r.newPoster(conns, perPost, 4)
	p.limit = int64(n)
	p.start()
	if err := r.loop.run(r.ctx, p.drained, func() { r.cfg.Progress(0.3 * float64(p.acked) / float64(n)) }); err != nil {
		return fmt.Errorf("post the backlog: %w", err)
	}
	if p.acked != int64(n) {
		return fmt.Errorf("post the backlog: %d of %d messages were refused: %s", int64(n)-p.acked, n, strings.Join(r.result.Violations, "; "))
	}
	return nil
}

// occupy makes InFlight messages claimed for the rest of the run.
func (r *run) occupy(conns []*conn) error {
	if r.cfg.InFlight == 0 {
		return nil
	}
	if err := r.fill(conns, r.cfg.InFlight); err != nil {
		return err
	}
	k := r.newClaimer(conns, 20, int64(r.cfg.InFlight))
	k.keep = true
	k.start()
	if err := r.loop.run(r.ctx, k.finished, k.wake); err != nil {
		return fmt.Errorf("claim the messages in flight: %w", err)
	}
	return nil
}

// Claim measures workers: a backlog is posted, then Connections sessions claim Limit messages at a time and delete
// them. Every message must be claimed exactly once, and nothing may be left.
func Claim(ctx context.Context, cfg Config) (*Result, error) {
	cfg.Queues = 1
	r, err := newRun(ctx, "claim", cfg, map[string]any{
		"connections": cfg.Connections, "limit": cfg.Limit, "messages": cfg.Messages, "in_flight": cfg.InFlight, "body_bytes": cfg.BodyBytes,
	})
	if err != nil {
		return nil, err
	}
	defer r.end()
	conns, err := r.connect(cfg.Connections)
	if err != nil {
		return nil, err
	}
	if err := r.occupy(conns); err != nil {
		return nil, err
	}
	if err := r.fill(conns, cfg.Messages); err != nil {
		return nil, err
	}
	k := r.newClaimer(conns, cfg.Limit, int64(cfg.Messages))
	r.measure()
	k.start()
	err = r.loop.run(ctx, k.finished, func() {
		k.wake()
		r.cfg.Progress(0.3 + 0.69*float64(k.deleted)/float64(cfg.Messages))
	})
	if err != nil {
		return nil, fmt.Errorf("%w (%d of %d messages claimed, %d deleted)", err, k.claimed, cfg.Messages, k.deleted)
	}
	r.measured(k.deleted, "messages")
	return r.finish(), r.checkClaims(k)
}

// checkClaims checks what is left, and notes what the claims have shown.
func (r *run) checkClaims(k *claimer) error {
	held := int64(r.cfg.InFlight)
	err := r.checkTotals(func(int) client.QueueStats { return client.QueueStats{Total: held, Claimed: held} })
	r.result.checked("every message claimed exactly once: %d messages, %d claims came back empty", k.claimed, k.empty)
	return err
}
