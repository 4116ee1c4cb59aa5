package deliver

import "time"

// send makes one request by way of the endpoint's breaker. sent is false when the breaker lets none through. abandoned
// says whether a failure was our own doing.
func (s *slot) send(request func() error, abandoned func() bool) (sent bool, err error) {
	done, err := s.ep.breaker.Allow()
	if err != nil {
		return false, nil
	}
	start := time.Now()
	err = request()
	switch {
	case err == nil:
		done(nil)
		s.result(time.Since(start) > s.p.cfg.SlowAfter)
	case abandoned():
		done(errAbandoned)
	default:
		down := failureOf(err).Down
		if down {
			done(err)
		} else {
			done(nil)
		}
		s.result(down || time.Since(start) > s.p.cfg.SlowAfter)
	}
	return true, err
}

// result moves the endpoint to the lane that it has deserved.
func (s *slot) result(bad bool) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	ep := s.ep
	to := laneWell
	if ep.bad++; !bad {
		ep.bad = 0
	} else if ep.lane != laneWell || ep.bad >= slowAfterBad {
		to = laneSlow
	}
	if to != ep.lane {
		s.p.unfile(ep)
		ep.lane = to
	}
	s.p.file(ep)
	s.p.dispatch()
}

// release gives the slot back.
func (s *slot) release() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.ep.running--
	s.ep.host.running--
	s.p.running[s.lane]--
	s.p.ready[s.lane].count(s.ep.project, -1)
	s.p.call(s.ep.host) // before the endpoint itself is filed: it has had its turn
	s.p.file(s.ep)
	s.p.dispatch()
}

// wanted says whether others wait for the slot, or for the memory that goes with it.
func (s *slot) wanted() bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.ep.waiting.Len() > 0 || s.ep.host.waiting.Len() > 0 || !s.p.ready[s.lane].empty() ||
		s.p.memory[s.lane].wanted()
}

// memory is the lane's share.
func (s *slot) memory() *budget { return s.p.memory[s.lane] }

// large is the lane's share for requests that are made larger than the message that they carry.
func (s *slot) large() *budget { return s.p.large[s.lane] }
