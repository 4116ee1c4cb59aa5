package gateway

import (
	"context"
	"fmt"
	"slices"

	"github.com/nusku-messaging/nusku/protocol"
)

// Stop ends the gateway in two phases. First it takes nothing new: readiness is off, upgrades and requests are answered
// 503, frames too; requests that run are answered, each session gets the replies that it is owed and what its
// subscriptions have ready, and is closed with 1001. Sessions and requests that have not ended when ctx does are cut off. Then everything that the gateway started is waited for, the
// HTTP server too if Serve runs. The store has to stay open until Stop returns.
//
// It returns an error if any had to be cut off. Calls after the first wait for it and return the same.
func (g *Gateway) Stop(ctx context.Context) error {
	g.stopOnce.Do(func() { g.stopErr = g.stop(ctx) })
	return g.stopErr
}

func (g *Gateway) stop(ctx context.Context) error {
	g.mu.Lock()
	g.draining.Store(true)
	g.stopped = true
	started := g.started
	g.mu.Unlock()

	g.rest.stop()
	g.parking.stop()
	g.streams.stop()
	for _, s := range g.openSessions() {
		s.drain()
	}
	cut := g.awaitSessions(ctx)
	late := g.rest.await(ctx) + g.streams.await(ctx)
	g.stopServer(ctx)
	if started {
		g.cancel()
		g.hub.stop()
	}
	g.background.Wait()
	g.blockers.work.Wait()
	if cut+late > 0 {
		return fmt.Errorf("gateway: %d sessions and %d requests were cut off: %w", cut, late, context.Cause(ctx))
	}
	return nil
}

// awaitSessions waits until all sessions have ended; it cuts off those that have not when ctx ends, and says how many.
func (g *Gateway) awaitSessions(ctx context.Context) int {
	done := make(chan struct{})
	g.background.Go(func() {
		g.running.Wait()
		close(done)
	})
	select {
	case <-done:
		return 0
	case <-ctx.Done():
	}
	late := g.openSessions()
	for _, s := range late {
		s.abort()
	}
	<-done
	return len(late)
}

// openSessions returns the sessions of this moment.
func (g *Gateway) openSessions() []*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.sessions)
}

// drain closes the session as soon as it owes no reply.
func (s *session) drain() {
	s.mu.Lock()
	s.draining = true
	owesNothing := s.outstanding == 0
	s.mu.Unlock()
	if owesNothing {
		s.shut(protocol.CloseGoingAway)
	}
}
