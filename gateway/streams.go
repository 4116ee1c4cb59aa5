package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// streams are the event streams that are open. Safe for concurrent use.
type streams struct {
	cfg *StreamConfig
	// ending is closed when they are to end.
	ending chan struct{}

	mu        sync.Mutex
	stopped   bool
	open      map[*stream]struct{}
	addresses map[netip.Prefix]int
	// idle is told when none is left after stop.
	idle chan struct{}
}

func newStreams(cfg *StreamConfig) *streams {
	return &streams{
		cfg: cfg, ending: make(chan struct{}), idle: make(chan struct{}),
		open: make(map[*stream]struct{}), addresses: make(map[netip.Prefix]int),
	}
}

// enter takes a stream, or says why not.
func (l *streams) enter(s *stream) *protocol.Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
		return protocol.ErrorStopping(retryStopping)
	case len(l.open) >= l.cfg.MaxStreams:
		return errTooManyStreams(http.StatusServiceUnavailable, "Too many streams are open.")
	case l.addresses[s.address] >= l.cfg.MaxStreamsPerAddress:
		return errTooManyStreams(http.StatusTooManyRequests, "Too many streams of this address are open.")
	}
	l.open[s] = struct{}{}
	l.addresses[s.address]++
	return nil
}

func errTooManyStreams(status int, text string) *protocol.Error {
	return &protocol.Error{
		Status: status, Kind: protocol.KindAction, Code: "too_many_streams", Exception: text, RetryAfter: retryOverloaded,
	}
}

func (l *streams) leave(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, s)
	if l.addresses[s.address]--; l.addresses[s.address] == 0 {
		delete(l.addresses, s.address)
	}
	if l.stopped && len(l.open) == 0 {
		close(l.idle)
	}
}

// stop ends all streams and takes no more.
func (l *streams) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	l.stopped = true
	close(l.ending)
	if len(l.open) == 0 {
		close(l.idle)
	}
}

// await waits, after stop, until all have ended. It cuts off those that have not when ctx ends, and says how many.
func (l *streams) await(ctx context.Context) int {
	select {
	case <-l.idle:
		return 0
	case <-ctx.Done():
	}
	l.mu.Lock()
	late := len(l.open)
	for s := range l.open {
		s.cut()
	}
	l.mu.Unlock()
	<-l.idle
	return late
}

// cut ends a stream whose client does not take what is being written.
func (s *stream) cut() {
	close(s.cutOff)
	_ = s.control.SetWriteDeadline(time.Now())
}
