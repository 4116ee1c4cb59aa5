package deliver

import "container/list"

// lineup are the endpoints of a lane that may get a slot now. Projects take turns, and so do the endpoints of each: one
// with thousands of endpoints, dead or not, does not come before another with one. And none has all the slots, which may
// be taken for as long as requests hang. The mutex of Endpoints guards it.
type lineup struct {
	// most is how many slots a project may have.
	most      int
	byProject map[string]*share
	turns     list.List // of *share, the next first: those with endpoints that have fewer slots
}

// share are the endpoints of one project in a lineup.
type share struct {
	project   string
	endpoints list.List // of *endpoint, the next first
	running   int       // slots that the project has
	place     *list.Element
}

// newLineup is for a lane with so many slots.
func newLineup(slots int) lineup {
	return lineup{most: max(1, slots-slots/8), byProject: make(map[string]*share)}
}

// push adds an endpoint at its project's end.
func (l *lineup) push(ep *endpoint) {
	s := l.share(ep.project)
	ep.ready = s.endpoints.PushBack(ep)
	l.settle(s)
}

// remove takes an endpoint out.
func (l *lineup) remove(ep *endpoint) {
	s := l.byProject[ep.project]
	s.endpoints.Remove(ep.ready)
	ep.ready = nil
	l.settle(s)
}

// next takes the endpoint out whose turn it is; nil if there is none.
func (l *lineup) next() *endpoint {
	if l.empty() {
		return nil
	}
	s := l.turns.Front().Value.(*share)
	l.turns.MoveToBack(s.place)
	ep := s.endpoints.Front().Value.(*endpoint)
	l.remove(ep)
	return ep
}

// count counts slots that a project gets (1) or gives back (-1).
func (l *lineup) count(project string, n int) {
	s := l.share(project)
	s.running += n
	l.settle(s)
}

func (l *lineup) empty() bool { return l.turns.Len() == 0 }

func (l *lineup) share(project string) *share {
	s := l.byProject[project]
	if s == nil {
		s = &share{project: project}
		l.byProject[project] = s
	}
	return s
}

// settle has a share take turns, or not, and forgets it when there is nothing about it.
func (l *lineup) settle(s *share) {
	may := s.endpoints.Len() > 0 && s.running < l.most
	switch {
	case may && s.place == nil:
		s.place = l.turns.PushBack(s)
	case !may && s.place != nil:
		l.turns.Remove(s.place)
		s.place = nil
	}
	if s.endpoints.Len()+s.running == 0 {
		delete(l.byProject, s.project)
	}
}

// host is what the endpoints of one name have in common, whatever projects they are of: the bound on its requests. The
// mutex of Endpoints guards it.
type host struct {
	endpoints int       // that there are
	running   int       // requests to all of them
	waiting   list.List // of *endpoint: they might start but for the bound
}

// call moves endpoints that wait for room, as many as there is room for, to where they get a slot. It has to be called
// whenever there is more room, or one that had been called did not use it. Requires mu.
func (p *Endpoints) call(h *host) {
	for room := p.cfg.MaxPerEndpoint - h.running; room > 0 && h.waiting.Len() > 0; {
		ep := h.waiting.Front().Value.(*endpoint)
		p.unfile(ep)
		p.file(ep)
		if ep.ready != nil {
			room--
		}
	}
}

// file puts an endpoint where it gets a slot or room at its host, if it may start, or takes it out. Requires mu.
func (p *Endpoints) file(ep *endpoint) {
	switch {
	case !p.mayStart(ep):
		p.unfile(ep)
	case ep.ready != nil || ep.held != nil:
	case ep.host.running < p.cfg.MaxPerEndpoint:
		p.ready[ep.lane].push(ep)
	default:
		p.hold(ep)
	}
}

// hold has an endpoint wait for room at its host. Requires mu.
func (p *Endpoints) hold(ep *endpoint) { ep.held = ep.host.waiting.PushBack(ep) }

func (p *Endpoints) unfile(ep *endpoint) {
	switch {
	case ep.held != nil:
		ep.host.waiting.Remove(ep.held)
		ep.held = nil
	case ep.ready != nil:
		p.ready[ep.lane].remove(ep)
		p.call(ep.host)
	}
}
