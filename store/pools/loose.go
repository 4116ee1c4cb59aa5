package pools

import (
	"errors"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// looseHop is a claim or a delete on its way. These follow their queue as posts do, but need not keep an order.
type looseHop struct {
	r     *Router
	queue protocol.QueueKey
	until time.Time
	// slot and err are the operation's Waiter and Err, give hands it to a store.
	slot *protocol.Waiter
	err  *error
	give func(*store.Store)
	// waiter is the operation's own.
	waiter protocol.Waiter
	hops   int
	done   bool
}

// Claim claims messages; see store.Store.Claim.
func (r *Router) Claim(op *protocol.ClaimOp) {
	if only := r.members.Load().only; only != nil {
		only.Claim(op)
		return
	}
	r.claim(op)
}

func (r *Router) claim(op *protocol.ClaimOp) {
	r.send(r.routes.pool(op.Queue), &looseHop{
		r: r, queue: op.Queue, until: op.Deadline, slot: &op.Waiter, err: &op.Err, waiter: op.Waiter,
		give: func(st *store.Store) { st.Claim(op) },
	})
}

// Delete deletes messages; see store.Store.Delete.
func (r *Router) Delete(op *protocol.DeleteOp) {
	if only := r.members.Load().only; only != nil {
		only.Delete(op)
		return
	}
	r.delete(op)
}

func (r *Router) delete(op *protocol.DeleteOp) {
	r.send(r.routes.pool(op.Queue), &looseHop{
		r: r, queue: op.Queue, until: op.Deadline, slot: &op.Waiter, err: &op.Err, waiter: op.Waiter,
		give: func(st *store.Store) { st.Delete(op) },
	})
}

// next is the operation's next hop; see postHop.next.
func (h *looseHop) next() *looseHop {
	n := *h
	n.hops, n.done = h.hops+1, false
	return &n
}

func (h *looseHop) to(st *store.Store) {
	*h.err, *h.slot = nil, h.next()
	h.give(st)
}

// Done is the store's answer.
func (h *looseHop) Done() {
	if h.r.sentOn(h.queue, *h.err, h.hops, h) {
		return
	}
	h.done = true
	*h.slot = h.waiter
	h.waiter.Done()
}

// Flush passes the call on once the operation's own Waiter is done.
func (h *looseHop) Flush() {
	if h.done {
		h.waiter.Flush()
	}
}

func (h *looseHop) refuse(err error) {
	*h.err = err
	last := h.next()
	last.Done()
	last.Flush()
}

func (h *looseHop) key() protocol.QueueKey  { return h.queue }
func (h *looseHop) deadline() time.Time     { return h.until }
func (h *looseHop) ordered() bool           { return false }
func (h *looseHop) cost() (rows, bytes int) { return 1, 0 }

// sentOn sends an operation to the pool that its error names, if it does.
func (r *Router) sentOn(key protocol.QueueKey, err error, hops int, h hop) bool {
	e, ok := errors.AsType[*store.ElsewhereError](err)
	if !ok {
		return false
	}
	r.routes.learn(key, e.Pool)
	if hops >= maxHops {
		return false
	}
	r.send(e.Pool, h)
	return true
}
