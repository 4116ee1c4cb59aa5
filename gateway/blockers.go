package gateway

import "sync"

// blockers runs the handlers that wait for the database, each in a goroutine that ends when there is nothing to do. So
// many run at a time as the settings say, of one session and in all; the others wait in order.
type blockers struct {
	gw *Gateway
	// work counts the goroutines; Stop waits for them.
	work sync.WaitGroup

	mu      sync.Mutex
	running int
	queue   jobList
}

// block implements peer: a call beyond the session's bound is left to its next handler that ends.
func (s *session) block(c *call) {
	s.mu.Lock()
	if s.blocking >= s.gw.cfg.BlockingPerSession {
		s.blocked.push(&c.job)
		s.mu.Unlock()
		return
	}
	s.blocking++
	s.mu.Unlock()
	s.gw.blockers.submit(c)
}

// submit takes a call whose peer has a place for it.
func (b *blockers) submit(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running >= b.gw.cfg.Blocking {
		b.queue.push(&c.job)
		return
	}
	b.running++
	b.work.Go(func() { b.run(c) })
}

// run runs the handler of c, and then of what waits.
func (b *blockers) run(c *call) {
	for c != nil {
		c.peer.carryOut(c)
		c = b.next()
	}
}

// carryOut implements peer.
func (s *session) carryOut(c *call) {
	if s.mayBegin(c) {
		c.handle()
		s.unblock()
		return
	}
	s.unblock()
	s.startFetch(c)
}

// next returns the call that has waited longest; nil if there is none, and the goroutine ends.
func (b *blockers) next() *call {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue.empty() {
		b.running--
		return nil
	}
	return b.queue.pop().call
}

// unblock passes the place of a handler that has ended on to the session's next.
func (s *session) unblock() {
	s.mu.Lock()
	if s.blocked.empty() {
		s.blocking--
		s.mu.Unlock()
		return
	}
	c := s.blocked.pop().call
	s.mu.Unlock()
	s.gw.blockers.submit(c)
}
