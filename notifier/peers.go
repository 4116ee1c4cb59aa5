package notifier

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// maxPeers bounds the gateways that are remembered. Beyond it new ones are not told apart, which costs needless
// "everything" hints and loses nothing.
const maxPeers = 4096

// peers knows which other gateways listen, so that a gateway that is alone sends nothing.
type peers struct {
	interval time.Duration // of their hellos
	// lonely is what alone returns: read on every commit, so it takes no lock.
	lonely atomic.Bool

	mu        sync.Mutex
	listening bool
	since     time.Time // when listening became true
	heard     map[uuid.UUID]time.Time
}

func newPeers(interval time.Duration) *peers {
	return &peers{interval: interval, heard: make(map[uuid.UUID]time.Time)}
}

// alone says that there is no other gateway to tell. It is false while that is not known.
func (p *peers) alone() bool { return p.lonely.Load() }

// setListening notes whether this gateway's LISTEN is in place.
func (p *peers) setListening(listening bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listening, p.since = listening, now
	p.judge(now)
}

// hear notes a sign of life of another gateway and says whether it was unknown. Then alone is false already, so
// that no hint falls between it and what the caller tells the newcomer.
func (p *peers) hear(id uuid.UUID, now time.Time) (unknown bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.heard[id]
	if known || len(p.heard) < maxPeers {
		p.heard[id] = now
	}
	p.judge(now)
	return !known
}

// tick forgets gateways that have been silent for long. It is called at least once an interval.
func (p *peers) tick(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, last := range p.heard {
		if now.Sub(last) > 3*p.interval {
			delete(p.heard, id)
		}
	}
	p.judge(now)
}

// judge sets lonely. Two intervals after LISTEN every other gateway has sent a hello, also those that know this
// one and therefore did not answer its first.
func (p *peers) judge(now time.Time) {
	p.lonely.Store(p.listening && len(p.heard) == 0 && now.Sub(p.since) >= 2*p.interval)
}
