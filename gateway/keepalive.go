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

// exact is now, from the system's clock.
func (c *clock) exact() int64 { return int64(time.Since(c.base)) + 1 }

// at is the time at which the clock shows t.
func (c *clock) at(t int64) time.Time { return c.base.Add(time.Duration(t - 1)) }

func (c *clock) advance() { c.ticks.Store(c.exact()) }

// liveness is what the keepalive remembers of a session.
type liveness struct {
	// pinged is the clock when the unanswered ping was sent, 0 if there is none.
	pinged int64
	// got is how much of a large frame was there at gotAt, slow says that little came in the second before.
	got, gotAt int64
	slow       bool
}

// keepaliveSlices is into how many parts the sessions are cut: one part is looked at per tick.
const keepaliveSlices = 5

// keepalive looks after all sessions, so that neither an idle one nor a frame needs a goroutine or a timer: it pings the
// silent ones, closes those that do not answer, that do not finish a frame, or whose socket takes nothing, and answers
// calls whose time is up.
func (g *Gateway) keepalive(ctx context.Context) {
	ticker := time.NewTicker(g.keepaliveTick())
	defer ticker.Stop()
	part := make([]*session, 0, 64)
	memory := pressure{gw: g}
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
			s.expireCalls(now)
			s.checkAlive(now)
			s.checkProgress(now)
		}
		clear(part)
		g.parking.tick(now)
		memory.relieve(now)
	}
}

// keepaliveTick is how often a part of the sessions is looked at: all of them are, four times in the shortest of the
// timeouts of sessions, sixteen times in that of calls, and four times a second.
func (g *Gateway) keepaliveTick() time.Duration {
	c := &g.cfg
	round := min(c.PingInterval/4, c.PongTimeout/4, c.FrameTimeout/4, c.WriteTimeout/4, g.shortestCall()/16)
	return max(min(round, time.Second/4)/keepaliveSlices, time.Millisecond)
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
