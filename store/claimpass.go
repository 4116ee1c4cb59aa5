package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nusku-messaging/nusku/protocol"
)

// claimPass is one turn's search of a queue for the requests that it serves.
type claimPass struct {
	q      *claimQueue
	info   *queueInfo
	signer *claimSigner
	// pending are the requests without an answer; each statement's requests leave it with their answer.
	pending []claimWait
	// end is the last number that the latest statement could see.
	end int64
}

// run answers as many requests as it may. Those left in pending have to wait for a search from the head, which
// may begin at the time returned. ErrNoQueue means that the queue of this id is gone.
func (p *claimPass) run(ctx context.Context) (again time.Time, err error) {
	q, began := p.q, time.Now()
	floor, stopping := q.position()
	paused := began.Before(q.pausedTo) && !stopping
	start := floor
	if q.head >= floor || q.rescanDue(began) {
		start = min(q.head, floor)
	}
	reached, err := p.search(ctx, start, math.MaxInt64)
	if err != nil {
		return again, err
	}
	if len(p.pending) > 0 && start > q.head {
		if paused {
			q.setFloor(reached)
			return q.pausedTo, nil
		}
		// Everything from start to reached was looked at: stopping early leaves what lies between.
		pos, err := p.search(ctx, q.head, start)
		if err != nil {
			return again, err
		}
		if pos < start {
			reached = pos
		}
		start = q.head
	}
	q.setFloor(reached)
	if start <= q.head && !paused {
		err = p.afterRescan(ctx, reached, began)
	}
	q.nothing(p.pending)
	p.pending = nil
	return again, err
}

// afterRescan surveys what a search from the head passed over. It fails no request: a survey that does not
// come about only makes the next search longer.
func (p *claimPass) afterRescan(ctx context.Context, reached int64, began time.Time) error {
	if !p.info.deadLetters() {
		p.q.nothing(p.pending)
		p.pending = nil
	}
	dead, err := p.survey(ctx, reached)
	if err != nil {
		p.q.c.s.log.Warn().Err(err).Int64("queue_id", p.info.id).Msg("survey of claims failed")
	}
	if dead > 0 {
		// Before the answer "nothing", so that who gets it finds the messages in the dead-letter queue.
		if _, err := p.q.c.s.buryRange(ctx, p.info, p.q.head, reached); err != nil {
			p.q.c.s.log.Warn().Err(err).Int64("queue_id", p.info.id).Msg("dead letters not moved; the sweeper will")
		}
	}
	p.q.rescanned(time.Now(), time.Since(began))
	return nil
}

// dropAbandoned ends the requests that nobody waits for, before anything is claimed for them.
func dropAbandoned(waits []claimWait) []claimWait {
	var gone []claimWait
	left := slices.DeleteFunc(waits, func(w claimWait) bool {
		if !abandoned(w.op) {
			return false
		}
		w.op.Err = errAbandoned
		gone = append(gone, w)
		return true
	})
	finishClaims(gone)
	return left
}

// errAbandoned is what a request gets whose caller is gone; it is for nobody's eyes.
var errAbandoned = fmt.Errorf("claim messages: abandoned: %w", protocol.ErrUnavailable)

func abandoned(op *protocol.ClaimOp) bool { return op.Abandoned != nil && op.Abandoned() }

// position returns the floor, and whether the claimer is stopping and pauses do not count any more.
func (q *claimQueue) position() (floor int64, stopping bool) {
	q.c.mu.Lock()
	defer q.c.mu.Unlock()
	return q.floor, q.c.stopping
}

// setFloor sets the floor where a search ended, or lower where messages were given back meanwhile.
func (q *claimQueue) setFloor(reached int64) {
	q.c.mu.Lock()
	defer q.c.mu.Unlock()
	q.floor = min(reached, q.lowered)
}

// maxSlice keeps sums of positions and slices from overflowing.
const maxSlice = 1 << 40

// A search's slice grows while statements are faster than sliceFast and shrinks when one is slower than sliceSlow.
const (
	sliceFast = 3 * time.Millisecond
	sliceSlow = 25 * time.Millisecond
)

// nextSlice adapts the range of numbers that one statement covers, so that none runs long over rows that it
// has to pass, and a wide empty range takes few.
func nextSlice(slice, least int64, took time.Duration) int64 {
	switch {
	case took < sliceFast:
		return min(slice*4, maxSlice)
	case took > sliceSlow:
		return max(slice/2, least)
	}
	return slice
}

// search claims for the pending requests from the numbers after from, up to until, until all are answered or
// there is no more. It returns the number up to which nothing claimable was left.
func (p *claimPass) search(ctx context.Context, from, until int64) (int64, error) {
	pos, slice := from, p.q.c.cfg.Slice
	for len(p.pending) > 0 && pos < until {
		upto, began := min(pos+slice, until), time.Now()
		top, more, err := p.statement(ctx, pos, upto)
		if err != nil {
			return pos, err
		}
		if more {
			pos = top
			continue
		}
		pos = max(pos, min(upto, p.end))
		if pos >= p.end {
			return pos, nil
		}
		slice = nextSlice(slice, p.q.c.cfg.Slice, time.Since(began))
	}
	return pos, nil
}

// claimBatchBits are the low bits of a batch number that count the requests of one statement.
const claimBatchBits = 12

// newBatch returns a random batch number whose low bits are zero, never 0.
func newBatch() int64 { return (rand.Int64N(1<<50) + 1) << claimBatchBits }

// statement claims numbers in (from, upto] for the pending requests and answers those that got something. More
// reports that it took all it was allowed to, up to the number top, and there may be more.
func (p *claimPass) statement(ctx context.Context, from, upto int64) (top int64, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.q.c.cfg.Timeout)
	defer cancel()
	conn, err := p.q.c.s.pool.Acquire(ctx)
	if err != nil {
		return 0, false, p.q.c.s.classifyWrite(fmt.Errorf("%w: %w", errNoConn, err))
	}
	defer conn.Release()
	batch := newBatch()
	rows, err := p.query(ctx, conn, batch, from, upto)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, protocol.ErrNoQueue
	}
	if err = p.q.c.s.classifyWrite(err); err != nil {
		if errors.Is(err, protocol.ErrOutcomeUnknown) {
			p.giveBackUnknown(batch, from, upto)
		}
		return 0, false, err
	}
	p.noteBound(rows)
	p.q.c.s.claimed.changed(p.info.id)
	p.answer(batch, rows)
	return rows.top, rows.full(), nil
}

// giveBackUnknown gives back what a statement claimed if it was carried out after all.
func (p *claimPass) giveBackUnknown(batch, from, upto int64) {
	if p.pending[0].pop {
		return // deleted is deleted
	}
	p.q.c.givings.add(giving{
		key: p.q.key, queueID: p.info.id, first: from + 1, last: upto,
		batch: batch, lastBatch: batch + int64(len(p.pending)) - 1,
		repeatUntil: time.Now().Add(p.q.c.s.cfg.StatementTimeout + time.Second),
	})
}

// claimedRows are the rows of one statement by request.
type claimedRows struct {
	of     []claimedPart
	asked  int
	count  int
	locked int64
	top    int64
	epoch  int64
}

// claimedPart is what one request gets.
type claimedPart struct {
	first, last int64
	messages    []protocol.Message
}

// full says that a bound, not the range's end, ended the statement.
func (r *claimedRows) full() bool {
	return r.count > 0 && (r.count >= r.asked || int64(r.count) < r.locked)
}

// query runs the statement. Rows come back only if it is committed.
func (p *claimPass) query(ctx context.Context, conn *pgxpool.Conn, batch, from, upto int64) (*claimedRows, error) {
	rows := &claimedRows{of: make([]claimedPart, len(p.pending))}
	var b pgx.Batch
	b.Queue(claimEndSQL, p.info.id).QueryRow(func(row pgx.Row) error { return row.Scan(&p.end, &rows.epoch) })
	sql, args := p.arguments(rows, batch, from, upto)
	b.Queue(sql, args...).Query(func(r pgx.Rows) error { return rows.read(r, p.info.id) })
	if err := conn.SendBatch(ctx, &b).Close(); err != nil {
		return nil, err
	}
	return rows, nil
}

// arguments lays out the requests for the statement.
func (p *claimPass) arguments(rows *claimedRows, batch, from, upto int64) (string, []any) {
	q, n := p.q, len(p.pending)
	bounds, ttls, graces := make([]int64, n), make([]int32, n), make([]int32, n)
	asked := 0
	for i, w := range p.pending {
		asked += w.op.Limit
		bounds[i], ttls[i], graces[i] = int64(asked)+1, w.op.TTL, w.op.Grace
	}
	rows.asked = asked
	args := []any{p.info.id, from, upto, p.info.claimLimit(), int32(asked), int64(q.c.cfg.Bytes), bounds}
	if p.pending[0].pop {
		return popSQL, append(args, q.c.s.writer(writerPop))
	}
	return claimSQL, append(args, batch, ttls, graces, q.c.s.writer(writerClaims), q.bound, q.epoch, int64(claimStride))
}

// read takes over the rows. It fails only on rows that this gateway's statements do not return.
func (r *claimedRows) read(rows pgx.Rows, queueID int64) error {
	var mem arena
	for rows.Next() {
		raw := rows.RawValues()
		i := pgInt32(raw[0])
		if i < 0 || int(i) >= len(r.of) {
			return fmt.Errorf("claimed row for request %d of %d", i, len(r.of))
		}
		part := &r.of[i]
		part.first, part.last, r.locked = pgInt64(raw[1]), pgInt64(raw[2]), pgInt64(raw[3])
		message, err := readMessage(raw[4:], queueID, &mem)
		if err != nil {
			return err
		}
		part.messages = append(part.messages, message)
		r.count++
		r.top = max(r.top, message.Seq)
	}
	return rows.Err()
}

// noteBound remembers how far claimed_upto was written, as the statement decided it.
func (p *claimPass) noteBound(rows *claimedRows) {
	if rows.count == 0 || p.pending[0].pop {
		return
	}
	if rows.top > p.q.bound || rows.epoch != p.q.epoch {
		p.q.bound, p.q.epoch = rows.top+claimStride, rows.epoch
	}
}

// answer ends the requests that got messages and keeps the others pending.
func (p *claimPass) answer(batch int64, rows *claimedRows) {
	now := time.Now()
	var done, left []claimWait
	for i, w := range p.pending {
		part := &rows.of[i]
		if len(part.messages) == 0 {
			left = append(left, w)
			continue
		}
		if len(part.messages) < w.op.Limit {
			// There may be more below the floor; the next turn looks there first.
			p.q.rescanAt = now
		}
		p.hand(w, claimRef{queueID: p.info.id, batch: batch + int64(i), first: part.first, last: part.last}, part, now)
		done = append(done, w)
	}
	p.pending = left
	finishClaims(done)
}

// hand gives a request its messages, or gives them back if nobody waits for them any more.
func (p *claimPass) hand(w claimWait, ref claimRef, part *claimedPart, now time.Time) {
	if !w.pop {
		p.q.expects(now.Add(time.Duration(w.op.TTL) * time.Second))
		if late := passed(w.op.Deadline, now); late || abandoned(w.op) {
			w.op.Err = errAbandoned
			p.q.c.givings.add(giving{
				key: p.q.key, queueID: ref.queueID, first: ref.first, last: ref.last, batch: ref.batch, lastBatch: ref.batch,
			})
			return
		}
	}
	slices.SortFunc(part.messages, func(a, b protocol.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	w.op.ClaimID = p.signer.text(ref)
	for i := range part.messages {
		part.messages[i].ClaimID = w.op.ClaimID
	}
	w.op.Messages = part.messages
}

// survey reads what is held between the head and reached: it moves the head up, learns when the first claim
// expires, and counts the messages that belong into the dead-letter queue.
func (p *claimPass) survey(ctx context.Context, reached int64) (dead int64, err error) {
	q := p.q
	q.nextExpiry = time.Time{}
	pos, slice, head := q.head, q.c.cfg.Slice, int64(-1)
	for pos < reached {
		upto, began := min(pos+slice, reached), time.Now()
		lowest, found, err := p.surveySlice(ctx, pos, upto)
		if err != nil {
			return dead, err
		}
		dead += found
		if lowest > 0 && head < 0 {
			head = lowest - 1
		}
		pos = upto
		slice = nextSlice(slice, q.c.cfg.Slice, time.Since(began))
	}
	if head < 0 {
		head = reached
	}
	q.head = max(q.head, head)
	return dead, nil
}

func (p *claimPass) surveySlice(ctx context.Context, from, upto int64) (lowest, dead int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.q.c.cfg.Timeout)
	defer cancel()
	var low, expiry *int64
	err = p.q.c.s.pool.QueryRow(ctx, surveySQL, p.info.id, from, upto, p.info.claimLimit()).Scan(&low, &expiry, &dead)
	if err != nil {
		return 0, 0, fmt.Errorf("survey claims: %w", p.q.c.s.classify(err))
	}
	if expiry != nil {
		p.q.expects(time.Now().Add(time.Duration(*expiry) * time.Microsecond))
	}
	if low != nil {
		lowest = *low
	}
	return lowest, dead, nil
}
