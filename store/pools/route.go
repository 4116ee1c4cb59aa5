package pools

import (
	"errors"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
)

// maxHops bounds how often an operation follows its queue to another pool. Queues move only by being deleted and made
// again.
const maxHops = 5

// routes remembers the pools of queues that are not in the default one, and keeps the posts of each queue in order while
// they follow it to another pool: once a store has sent one on, those behind it wait until all that went before have an
// answer, and then go together.
type routes struct {
	size int

	mu    sync.Mutex
	byKey map[protocol.QueueKey]*route
}

// route is what is known of one queue. It is guarded by the mutex of routes.
type route struct {
	key  protocol.QueueKey
	pool int64
	// inflight counts the posts that a store has: that of via, which is the pool as it was when they were sent.
	inflight int
	via      *member
	// moving says that a store has sent posts on, to pool, or that the pool has moved. returned are those, and held those
	// that came since, in order.
	moving         bool
	returned, held []*postHop
}

func newRoutes(size int) *routes {
	return &routes{size: size, byKey: make(map[protocol.QueueKey]*route)}
}

// pool returns where a queue is believed to be.
func (x *routes) pool(key protocol.QueueKey) int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if rt := x.byKey[key]; rt != nil {
		return rt.pool
	}
	return 0
}

// learn notes where a queue is.
func (x *routes) learn(key protocol.QueueKey, pool int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.getLocked(key).pool = pool
	x.tidyLocked(key)
}

// forget forgets where a queue is if it is believed to be in that pool.
func (x *routes) forget(key protocol.QueueKey, pool int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if rt := x.byKey[key]; rt != nil && rt.pool == pool {
		rt.pool = 0
		x.tidyLocked(key)
	}
}

func (x *routes) getLocked(key protocol.QueueKey) *route {
	rt := x.byKey[key]
	if rt == nil {
		x.makeRoomLocked()
		rt = &route{key: key}
		x.byKey[key] = rt
	}
	return rt
}

// tidyLocked drops a route that says nothing.
func (x *routes) tidyLocked(key protocol.QueueKey) {
	if rt := x.byKey[key]; rt != nil && rt.pool == 0 && rt.idle() {
		delete(x.byKey, key)
	}
}

func (rt *route) idle() bool { return rt.inflight == 0 && !rt.moving }

// makeRoomLocked forgets a route when there are as many as may be. Map order makes the choice random. Routes that are in
// use are bounded by the posts that may wait.
func (x *routes) makeRoomLocked() {
	if len(x.byKey) < x.size {
		return
	}
	looked := 0
	for key, rt := range x.byKey {
		if rt.idle() {
			delete(x.byKey, key)
			return
		}
		if looked++; looked > 64 {
			return
		}
	}
}

// postHop is a post on its way; it stands between the store and the post's own Waiter.
type postHop struct {
	r      *Router
	post   *protocol.Post
	waiter protocol.Waiter
	hops   int
	done   bool // the post's own Waiter was told
}

// Post stores messages; see store.Store.Post.
func (r *Router) Post(p *protocol.Post) {
	if only := r.members.Load().only; only != nil {
		only.Post(p)
		return
	}
	r.post(p)
}

func (r *Router) post(p *protocol.Post) {
	h := &postHop{r: r, post: p, waiter: p.Waiter}
	if until := time.Now().Add(r.base.PostWait); p.Deadline.IsZero() || until.Before(p.Deadline) {
		p.Deadline = until // also where a store takes it over from another
	}
	x := r.routes
	x.mu.Lock()
	rt := x.getLocked(p.Queue)
	m := r.members.Load().byID[rt.pool]
	if rt.moving || rt.inflight > 0 && rt.via != m { // a pool that has got another address has another store
		rt.moving = true
		rt.held = append(rt.held, h)
		x.mu.Unlock()
		return
	}
	rt.inflight++
	rt.via = m
	pool := rt.pool
	x.mu.Unlock()
	r.sendVia(m, pool, h)
}

// Follow takes over an operation that a store was given while the Router knew of one pool only. It is for
// store.Placement.
func (r *Router) Follow(op any) bool {
	switch op := op.(type) {
	case *protocol.Post:
		if _, mine := op.Waiter.(*postHop); mine {
			return false // it follows by itself
		}
		r.post(op)
	case *protocol.ClaimOp:
		if _, mine := op.Waiter.(*looseHop); mine {
			return false
		}
		r.claim(op)
	case *protocol.DeleteOp:
		if _, mine := op.Waiter.(*looseHop); mine {
			return false
		}
		r.delete(op)
	}
	return true
}

// to hands the post to a store, which never calls back from within.
func (h *postHop) to(st *store.Store) {
	h.post.Err, h.post.IDs = nil, h.post.IDs[:0]
	h.post.Waiter = h.next()
	st.Post(h.post)
}

// next is the post's next hop. There is one for each store, as a store may still call Flush when the next one has the
// post.
func (h *postHop) next() *postHop {
	return &postHop{r: h.r, post: h.post, waiter: h.waiter, hops: h.hops + 1}
}

// Done is the store's answer: it is the client's too, unless the store has sent the post on.
func (h *postHop) Done() {
	e, sentOn := errors.AsType[*store.ElsewhereError](h.post.Err)
	x := h.r.routes
	x.mu.Lock()
	rt := x.getLocked(h.post.Queue)
	if sentOn && h.hops < maxHops {
		rt.pool, rt.moving = e.Pool, true
		rt.returned = append(rt.returned, h)
	} else {
		h.done = true
	}
	if rt.inflight = max(0, rt.inflight-1); rt.inflight == 0 {
		rt.via = nil
	}
	if rt.moving && rt.inflight == 0 {
		h.r.resumeLocked(rt)
	}
	x.tidyLocked(rt.key)
	x.mu.Unlock()
	if h.done {
		h.finish()
	}
}

// resumeLocked sends the posts that waited to the queue's new pool. The lock is held meanwhile, so that no later post
// overtakes them; stores and the waiting room take posts without calling back.
func (r *Router) resumeLocked(rt *route) {
	posts := append(rt.returned, rt.held...)
	rt.moving, rt.returned, rt.held = false, nil, nil
	rt.inflight = len(posts)
	rt.via = r.members.Load().byID[rt.pool]
	for _, h := range posts {
		r.sendVia(rt.via, rt.pool, h)
	}
}

func (h *postHop) finish() {
	h.post.Waiter = h.waiter
	h.waiter.Done()
}

// Flush passes the call on once the post's own Waiter is done.
func (h *postHop) Flush() {
	if h.done {
		h.waiter.Flush()
	}
}

func (h *postHop) key() protocol.QueueKey { return h.post.Queue }
func (h *postHop) deadline() time.Time    { return h.post.Deadline }
func (h *postHop) ordered() bool          { return true }

func (h *postHop) cost() (rows, bytes int) {
	for i := range h.post.Messages {
		bytes += len(h.post.Messages[i].Body)
	}
	return max(1, len(h.post.Messages)), bytes
}

func (h *postHop) refuse(err error) {
	h.post.Err, h.post.IDs = err, nil
	last := h.next()
	last.Done()
	last.Flush()
}
