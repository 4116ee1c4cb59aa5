package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// clock is the gateway's coarse time: nanoseconds since it was made, set forward by the keepalive. Reading it costs a
// load, which is why sessions may note when something happened without asking the system for the time of each frame.
type clock struct {
	base  time.Time
	ticks atomic.Int64
}

func (c *clock) start() {
	c.base = time.Now()
	c.ticks.Store(1)
}

// now is never 0, so that 0 can say "not at all".
func (c *clock) now() int64 { return c.ticks.Load() }

func (c *clock) advance() { c.ticks.Store(int64(time.Since(c.base)) + 1) }

// liveness is what the keepalive remembers of a session.
type liveness struct {
	// pinged is the clock when the unanswered ping was sent, 0 if there is none.
	pinged int64
}

// keepaliveSlices is into how many parts the sessions are cut: one part is looked at per tick.
const keepaliveSlices = 10

// keepalive looks after all sessions, so that an idle one needs neither a goroutine nor a timer: it pings the silent
// ones, and closes those that do not answer, that do not finish a frame, or whose socket takes nothing.
func (g *Gateway) keepalive(ctx context.Context) {
	ticker := time.NewTicker(g.keepaliveTick())
	defer ticker.Stop()
	part := make([]*session, 0, 64)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		g.clock.advance()
		part = g.nextPart(part[:0])
		now := g.clock.now()
		for _, s := range part {
			s.checkAlive(now)
		}
		clear(part)
	}
}

// keepaliveTick is how often a part of the sessions is looked at: all of them are, four times in the shortest of the
// timeouts or once a second.
func (g *Gateway) keepaliveTick() time.Duration {
	c := &g.cfg
	round := min(c.PingInterval, c.PongTimeout, c.FrameTimeout, c.WriteTimeout) / 4
	return max(min(round, time.Second)/keepaliveSlices, time.Millisecond)
}

// nextPart appends the next part of the sessions to part. Where it goes on from shifts when sessions leave; one that is
// passed over is looked at in the next round.
func (g *Gateway) nextPart(part []*session) []*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := (len(g.sessions) + keepaliveSlices - 1) / keepaliveSlices
	for range n {
		if g.walk >= len(g.sessions) {
			g.walk = 0
		}
		part = append(part, g.sessions[g.walk])
		g.walk++
	}
	return part
}

// checkAlive pings or closes a session, if it is time. Only the keepalive calls it.
func (s *session) checkAlive(now int64) {
	cfg := &s.gw.cfg
	if since := s.out.writeSince.Load(); since != 0 && now-since > int64(cfg.WriteTimeout) {
		s.gw.log.Debug().Stringer("session", s.id).Str("close", protocol.CloseStalled.Name()).Msg("socket takes nothing")
		// A close frame could not be sent: the socket is full.
		s.abort()
		return
	}
	if s.stalled.Load() {
		// It is us who do not read, so no pong can be expected.
		s.keep.pinged = 0
		return
	}
	if since := s.conn.frameSince.Load(); since != 0 && now-since > int64(cfg.FrameTimeout) {
		s.interrupt(protocol.ClosePolicy)
		return
	}
	last := s.conn.lastRead.Load()
	switch {
	case s.keep.pinged == 0:
		if now-last > int64(cfg.PingInterval) {
			s.keep.pinged = now
			s.out.sendPing()
		}
	case last >= s.keep.pinged:
		s.keep.pinged = 0
	case now-s.keep.pinged > int64(cfg.PongTimeout):
		s.shut(protocol.CloseNoPong)
	}
}
