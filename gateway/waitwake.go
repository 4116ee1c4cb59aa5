package gateway

import (
	"context"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// wakeClaims has claims look that take so many messages together, the oldest first: parked ones at once, busy ones when
// they have looked. Requires mu.
func (p *parking) wakeClaims(r *room, messages int) {
	for messages > 0 && r.claims.head != nil {
		w := r.claims.head
		messages -= w.limit
		p.unpark(w)
	}
	for w := r.busy.head; w != nil && messages > 0; w = w.next {
		if w.limit > 0 && !w.again {
			w.again = true
			messages -= w.limit
		}
	}
}

// wakeLists has all lists of a room look. Requires mu.
func (p *parking) wakeLists(r *room) {
	for r.lists.head != nil {
		p.unpark(r.lists.head)
	}
	for w := r.busy.head; w != nil; w = w.next {
		w.again = w.again || w.limit == 0
	}
}

// unpark has a parked call look again. Requires mu.
func (p *parking) unpark(w *waiter) {
	r := w.room
	w.list.remove(w)
	p.ends.remove(w)
	r.busy.push(w)
	p.rouse(w)
}

// rouse has a call look that is busy in name only. Requires mu.
func (p *parking) rouse(w *waiter) {
	w.again = false
	p.woken = append(p.woken, w)
	select {
	case p.started <- struct{}{}:
	default:
	}
}

// run starts woken calls until ctx ends.
func (p *parking) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.started:
		}
		p.mu.Lock()
		woken := p.woken
		p.woken = nil
		p.mu.Unlock()
		for _, w := range woken {
			w.c.peer.resume(w.c)
		}
	}
}

// committed takes what a flush of this gateway stored.
func (p *parking) committed(batch []protocol.Committed) {
	if p.count.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range batch {
		if r := p.rooms[batch[i].Queue]; r != nil {
			p.bind(r, batch[i].QueueID)
			p.wakeClaims(r, len(batch[i].Messages))
			p.wakeLists(r)
		}
	}
}

// queueChanged takes the news that a queue was made or changed.
func (p *parking) queueChanged(key protocol.QueueKey, id int64) {
	if p.count.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.rooms[key]; r != nil {
		p.bind(r, id)
		p.hint(r)
	}
}

// wakeQueue takes the hint that a queue has something, nobody knows how much: one claim looks, and has the next one look
// if it got something.
func (p *parking) wakeQueue(id int64) {
	if p.count.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.byID[id]; r != nil {
		p.hint(r)
	}
}

// hint has one claim and all lists look. Requires mu.
func (p *parking) hint(r *room) {
	p.wakeClaims(r, 1)
	p.wakeLists(r)
}

// scouts is the part of the parking that has calls look without an event, so many in a second in all. The mutex of
// parking guards it.
type scouts struct {
	// order are all rooms; walk is where the next look goes on.
	order []*room
	walk  int
	// paid is the gateway's clock up to which the looks of the past are paid for.
	paid int64
}

// watch adds a room to those that are scouted, from an interval on. Requires the parking's mu.
func (p *parking) watch(r *room) {
	r.index = len(p.order)
	r.scoutAt = p.gw.clock.now() + int64(p.cfg.ScoutInterval)
	p.order = append(p.order, r)
}

func (p *parking) unwatch(r *room) {
	last := len(p.order) - 1
	p.order[r.index] = p.order[last]
	p.order[r.index].index = r.index
	p.order[last] = nil
	p.order = p.order[:last]
}

// reconnected has all rooms scouted, for events may have been lost.
func (p *parking) reconnected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.order {
		r.scoutAt = 0
	}
}

// tick ends the waits that are over and sends scouts. The keepalive calls it.
func (p *parking) tick(now int64) {
	if p.count.Load() == 0 {
		return
	}
	p.mu.Lock()
	var ended []*waiter
	for len(p.ends) > 0 && p.ends[0].until <= now {
		w := p.ends[0]
		p.remove(w)
		ended = append(ended, w)
	}
	p.scout(now)
	p.mu.Unlock()
	endAll(ended)
}

// maxLooked is how many rooms are looked through in one tick for those to scout.
const maxLooked = 1000

// scout has one call of each room look that nobody woke for a while, as far as the rate allows. Requires mu.
func (p *parking) scout(now int64) {
	price := int64(time.Second) / int64(p.cfg.ScoutRate)
	p.paid = max(p.paid, now-int64(time.Second))
	for looked := 0; looked < min(len(p.order), maxLooked) && p.paid+price <= now; looked++ {
		if p.walk >= len(p.order) {
			p.walk = 0
		}
		r := p.order[p.walk]
		p.walk++
		if r.scoutAt > now {
			continue
		}
		r.scoutAt = now + int64(p.cfg.ScoutInterval)
		for _, l := range []*waitList{&r.claims, &r.lists} {
			if l.head != nil {
				p.paid += price
				p.unpark(l.head)
			}
		}
	}
}

// Waiting returns how many calls wait for a message, asleep. Safe for concurrent use.
func (g *Gateway) Waiting() int {
	p := g.parking
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ends)
}
