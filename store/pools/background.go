package pools

import (
	"errors"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// Claims and deletes follow their queue as posts do, but need not keep an order.

// claimHop is a claim on its way.
type claimHop struct {
	r      *Router
	op     *protocol.ClaimOp
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
	r.send(r.routes.pool(op.Queue), &claimHop{r: r, op: op, waiter: op.Waiter})
}

// next is the operation's next hop; see postHop.next.
func (h *claimHop) next() *claimHop {
	return &claimHop{r: h.r, op: h.op, waiter: h.waiter, hops: h.hops + 1}
}

func (h *claimHop) to(st *store.Store) {
	h.op.Err, h.op.Waiter = nil, h.next()
	st.Claim(h.op)
}

// Done is the store's answer.
func (h *claimHop) Done() {
	if h.r.sentOn(h.op.Queue, h.op.Err, h.hops, h) {
		return
	}
	h.done = true
	h.op.Waiter = h.waiter
	h.waiter.Done()
}

// Flush passes the call on once the claim's own Waiter is done.
func (h *claimHop) Flush() {
	if h.done {
		h.waiter.Flush()
	}
}

func (h *claimHop) refuse(err error) {
	h.op.Err = err
	last := h.next()
	last.Done()
	last.Flush()
}

func (h *claimHop) key() protocol.QueueKey  { return h.op.Queue }
func (h *claimHop) deadline() time.Time     { return h.op.Deadline }
func (h *claimHop) ordered() bool           { return false }
func (h *claimHop) cost() (rows, bytes int) { return 1, 0 }

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

// deleteHop is a delete on its way.
type deleteHop struct {
	r      *Router
	op     *protocol.DeleteOp
	waiter protocol.Waiter
	hops   int
	done   bool
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
	r.send(r.routes.pool(op.Queue), &deleteHop{r: r, op: op, waiter: op.Waiter})
}

// next is the operation's next hop; see postHop.next.
func (h *deleteHop) next() *deleteHop {
	return &deleteHop{r: h.r, op: h.op, waiter: h.waiter, hops: h.hops + 1}
}

func (h *deleteHop) to(st *store.Store) {
	h.op.Err, h.op.Waiter = nil, h.next()
	st.Delete(h.op)
}

// Done is the store's answer.
func (h *deleteHop) Done() {
	if h.r.sentOn(h.op.Queue, h.op.Err, h.hops, h) {
		return
	}
	h.done = true
	h.op.Waiter = h.waiter
	h.waiter.Done()
}

// Flush passes the call on once the delete's own Waiter is done.
func (h *deleteHop) Flush() {
	if h.done {
		h.waiter.Flush()
	}
}

func (h *deleteHop) refuse(err error) {
	h.op.Err = err
	last := h.next()
	last.Done()
	last.Flush()
}

func (h *deleteHop) key() protocol.QueueKey  { return h.op.Queue }
func (h *deleteHop) deadline() time.Time     { return h.op.Deadline }
func (h *deleteHop) ordered() bool           { return false }
func (h *deleteHop) cost() (rows, bytes int) { return 1, 0 }
