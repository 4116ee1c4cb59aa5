package deliver

import "sync/atomic"

type counters struct{ delivered, failed, buried, resent atomic.Int64 }

// Stats counts what an engine has done since it was made, and what it does now.
type Stats struct {
	// Delivered counts notices that the other side has taken, Failed attempts that failed, Buried messages that were
	// given up and Resent dead deliveries that were taken at last.
	Delivered, Failed, Buried, Resent int64
	// Subscriptions are those that this engine has leases for.
	Subscriptions int
}

// Stats returns the counts.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Stats{
		Delivered: e.counts.delivered.Load(), Failed: e.counts.failed.Load(),
		Buried: e.counts.buried.Load(), Resent: e.counts.resent.Load(), Subscriptions: len(e.streams),
	}
}

// EndpointStats counts over all engines of a process.
type EndpointStats struct {
	// Endpoints are those of the subscriptions at this moment, each project's counted by itself, Requests those under way.
	Endpoints, Requests int
	// Opened counts how often an endpoint was found to be down.
	Opened int64
}

// Stats returns the counts.
func (p *Endpoints) Stats() EndpointStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := EndpointStats{Endpoints: len(p.byKey), Opened: p.opens.Load()}
	for _, n := range p.running {
		stats.Requests += n
	}
	return stats
}
