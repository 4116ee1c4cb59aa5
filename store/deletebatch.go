package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// deleteBatch is the arguments of one delete statement, and whose they are. Queues come in the order of their ids,
// so that the statement takes its counting rows in that order.
type deleteBatch struct {
	queues []int64
	places map[int64]int32 // of a queue in queues, from 1
	queue  []int32
	seq    []int64
	fence  []int64
	owner  []deleteOwner
}

// deleteOwner is the id that a place of the batch belongs to.
type deleteOwner struct {
	w    *deleteWait
	item int // in w.items
}

func newDeleteBatch(waits []*deleteWait) *deleteBatch {
	b := &deleteBatch{places: make(map[int64]int32)}
	for _, w := range waits {
		if _, ok := b.places[w.info.id]; !ok {
			b.places[w.info.id] = 0
			b.queues = append(b.queues, w.info.id)
		}
	}
	slices.Sort(b.queues)
	for i, id := range b.queues {
		b.places[id] = int32(i + 1)
	}
	return b
}

func (b *deleteBatch) add(w *deleteWait, item int, fence int64) {
	b.queue = append(b.queue, b.places[w.info.id])
	b.seq = append(b.seq, w.items[item].seq)
	b.fence = append(b.fence, fence)
	b.owner = append(b.owner, deleteOwner{w, item})
}

// addFenced adds an id with each fence under which it may be deleted.
func (b *deleteBatch) addFenced(w *deleteWait, item int) {
	switch {
	case !w.op.Fenced:
		b.add(w, item, fenceNone)
	case len(w.op.ClaimIDs) == 0:
		b.add(w, item, fenceUnclaimed)
	default:
		for _, ref := range w.refs {
			if seq := w.items[item].seq; ref.first <= seq && seq <= ref.last {
				b.add(w, item, ref.batch)
			}
		}
	}
}

// settled removes from their deletes the ids at the given places of the batch.
func (b *deleteBatch) settled(places []int) {
	touched := make(map[*deleteWait]struct{})
	for _, place := range places {
		owner := b.owner[place]
		owner.w.items[owner.item].index = -1
		touched[owner.w] = struct{}{}
	}
	for w := range touched {
		w.items = slices.DeleteFunc(w.items, func(item deleteItem) bool { return item.index < 0 })
	}
}

// deleteAll deletes what can be deleted of the deletes' numbered ids and takes it off their lists.
func (d *deletes) deleteAll(ctx context.Context, waits []*deleteWait) error {
	b := newDeleteBatch(waits)
	for _, w := range waits {
		for i := range w.items {
			if w.items[i].seq > 0 {
				b.addFenced(w, i)
			}
		}
	}
	if len(b.seq) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	var queues, seqs []int64
	row := d.s.pool.QueryRow(ctx, deleteSQL, b.queues, b.queue, b.seq, b.fence, d.s.writer(writerDeletes))
	err := row.Scan(&queues, &seqs)
	d.s.claimed.changed(b.queues...)
	if err != nil {
		return d.s.classifyWrite(err)
	}
	gone := b.placesOf(queues, seqs)
	for _, place := range gone {
		if b.fence[place] > 0 {
			b.owner[place].w.fenced = true
		}
	}
	b.settled(gone)
	return nil
}

// placesOf returns the places in the batch of deleted messages. An id may be there more than once.
func (b *deleteBatch) placesOf(queues, seqs []int64) []int {
	gone := make(map[protocol.MessageID]struct{}, len(seqs))
	for i, seq := range seqs {
		gone[protocol.MessageID{Queue: queues[i], N: seq}] = struct{}{}
	}
	places := make([]int, 0, len(seqs))
	for place, seq := range b.seq {
		if _, ok := gone[protocol.MessageID{Queue: b.queues[b.queue[place]-1], N: seq}]; ok {
			places = append(places, place)
		}
	}
	return places
}

// diagnose finds out about the numbered ids that are still open: those that are gone are settled, those that must not
// be deleted are refused. What stays open was locked by somebody and may be tried again.
func (d *deletes) diagnose(ctx context.Context, waits []*deleteWait) error {
	b := newDeleteBatch(waits)
	for _, w := range waits {
		for i := range w.items {
			if w.items[i].seq > 0 {
				b.add(w, i, 0)
			}
		}
	}
	if len(b.seq) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	rows, err := d.s.pool.Query(ctx, diagnoseSQL, b.queues, b.queue, b.seq)
	if err != nil {
		return d.s.classify(err)
	}
	holders := make(map[int32]int64)
	var place int32
	var holder int64
	_, err = pgx.ForEachRow(rows, []any{&place, &holder}, func() error {
		holders[place] = holder
		return nil
	})
	if err != nil {
		return d.s.classify(err)
	}
	var settled []int
	for i, owner := range b.owner {
		holder, there := holders[int32(i+1)]
		if there {
			err := d.refusal(ctx, owner.w, holder)
			if err == nil {
				continue
			}
			if errors.Is(err, protocol.ErrUnavailable) {
				return err
			}
			owner.w.refuse(owner.w.items[owner.item].index, err)
		}
		settled = append(settled, i)
	}
	b.settled(settled)
	return nil
}

// refusal says why a message that the given batch holds (0: nobody) must not be deleted; nil if it may.
func (d *deletes) refusal(ctx context.Context, w *deleteWait, holder int64) error {
	switch {
	case !w.op.Fenced:
		return nil
	case len(w.op.ClaimIDs) == 0:
		if holder != 0 {
			return protocol.ErrClaimed
		}
		return nil
	case len(w.refs) == 0: // no id of a claim of this queue
		return protocol.ErrNoClaim
	case holder == 0:
		return protocol.ErrNotClaimed
	}
	for _, ref := range w.refs {
		if ref.batch == holder {
			return nil
		}
	}
	if w.fenced {
		return protocol.ErrNotClaimedBy
	}
	for _, ref := range w.refs {
		var lives bool
		err := d.s.pool.QueryRow(ctx, claimLivesSQL, ref.queueID, ref.first, ref.last, ref.batch).Scan(&lives)
		if err != nil {
			return fmt.Errorf("%w: %w", protocol.ErrUnavailable, err)
		}
		if lives {
			return protocol.ErrNotClaimedBy
		}
	}
	return protocol.ErrNoClaim
}
