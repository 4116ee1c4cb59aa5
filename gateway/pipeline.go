package gateway

import (
	"sync"

	"github.com/nusku-messaging/nusku/protocol"
)

// pipeline decides which frames of a session may run at the same time, and in which order their replies leave. It is
// not locked: the session's mutex guards it.
//
// Each queue that a session has unfinished frames for has a lane. A frame starts at once while all unfinished earlier
// frames of its lane are of its class and that class may overlap with itself; else it waits, and so does everything
// behind it in that lane. Frames without a queue wait for all earlier frames of the session, and later ones for them.
// Frames are started in the order in which they came, lane by lane.
type pipeline struct {
	lanes []*lane
	// inLanes counts the unfinished frames in lanes.
	inLanes int
	// barrier is set while a frame without a queue runs.
	barrier bool
	// behind are the frames that wait for a barrier, the barrier first if it waits too.
	behind jobList
	// runnable are frames that may start, in order, and were not started where they were let go.
	runnable jobList
	// order are the frames whose replies leave in the order of the requests.
	order orderList
}

// job is what the pipeline knows of a frame.
type job struct {
	call  *call
	class protocol.Class
	key   protocol.QueueKey

	lane *lane
	// next links the one list of jobs that the job waits in; nextReply the order of replies.
	next, nextReply *job
	// admitted says that the pipeline took the frame; answered that its reply is ready to leave; ordered that the
	// reply has to wait for its turn.
	admitted, answered, ordered bool
}

// lane holds the unfinished frames of one queue.
type lane struct {
	// key has memory of its own: it outlives the frame that opened the lane.
	project, name []byte
	// class is that of the running frames.
	class   protocol.Class
	running int
	waiting jobList
}

var lanePool = sync.Pool{New: func() any { return new(lane) }}

// overlaps says whether unfinished frames of this class may overlap with their like.
func overlaps(class protocol.Class) bool {
	switch class {
	case protocol.ClassPost, protocol.ClassClaim, protocol.ClassDelete, protocol.ClassRead:
		return true
	}
	return false
}

// expect notes that j's reply leaves after those of the frames before it.
func (p *pipeline) expect(j *job) {
	j.ordered = true
	p.order.push(j)
}

// admit takes the next frame of the session and says whether it may start now. If not, it turns up in runnable once it
// may.
func (p *pipeline) admit(j *job) bool {
	if p.barrier || !p.behind.empty() {
		p.behind.push(j)
		return false
	}
	if j.class == protocol.ClassSession {
		if p.inLanes > 0 {
			p.behind.push(j)
			return false
		}
		p.barrier = true
		return true
	}
	return p.enter(j)
}

// enter puts a frame into its queue's lane and says whether it may start.
func (p *pipeline) enter(j *job) bool {
	l := p.lane(j.key)
	j.lane = l
	p.inLanes++
	if l.running > 0 && (l.class != j.class || !overlaps(j.class) || !l.waiting.empty()) {
		l.waiting.push(j)
		return false
	}
	l.class = j.class
	l.running++
	return true
}

// finish says that a frame that was started is done. What may start because of it is added to runnable.
func (p *pipeline) finish(j *job) {
	if l := j.lane; l != nil {
		p.leaveLane(l)
	} else {
		p.barrier = false
	}
	p.passBarrier()
}

// leaveLane ends one running frame of l.
func (p *pipeline) leaveLane(l *lane) {
	p.inLanes--
	if l.running--; l.running > 0 {
		return
	}
	if l.waiting.empty() {
		p.closeLane(l)
		return
	}
	for {
		j := l.waiting.pop()
		l.class = j.class
		l.running++
		p.runnable.push(j)
		if next := l.waiting.head; next == nil || next.class != l.class || !overlaps(l.class) {
			return
		}
	}
}

// passBarrier lets the frames behind a barrier go, up to the next barrier.
func (p *pipeline) passBarrier() {
	for !p.barrier && !p.behind.empty() {
		if p.behind.head.class != protocol.ClassSession {
			if j := p.behind.pop(); p.enter(j) {
				p.runnable.push(j)
			}
			continue
		}
		if p.inLanes > 0 {
			return
		}
		p.barrier = true
		p.runnable.push(p.behind.pop())
	}
}

// answer says that j's reply is ready and returns the chain (by nextReply) of jobs whose replies leave now, in order.
func (p *pipeline) answer(j *job) *job {
	j.answered = true
	if !j.ordered {
		return j
	}
	return p.order.popAnswered()
}

// lane returns the lane of a queue; it makes one if there is none. Lanes are few, as outstanding frames are.
func (p *pipeline) lane(key protocol.QueueKey) *lane {
	for _, l := range p.lanes {
		if string(l.name) == key.Name && string(l.project) == key.Project {
			return l
		}
	}
	l := lanePool.Get().(*lane)
	l.project = append(l.project[:0], key.Project...)
	l.name = append(l.name[:0], key.Name...)
	p.lanes = append(p.lanes, l)
	return l
}

// closeLane forgets a lane without frames.
func (p *pipeline) closeLane(l *lane) {
	last := len(p.lanes) - 1
	for i := range p.lanes {
		if p.lanes[i] == l {
			p.lanes[i] = p.lanes[last]
			break
		}
	}
	p.lanes[last] = nil
	p.lanes = p.lanes[:last]
	lanePool.Put(l)
}

// jobList is a list of jobs, linked by next.
type jobList struct{ head, tail *job }

func (l *jobList) empty() bool { return l.head == nil }

func (l *jobList) push(j *job) {
	if l.head == nil {
		l.head = j
	} else {
		l.tail.next = j
	}
	l.tail = j
}

// pop removes the first job; the list must not be empty.
func (l *jobList) pop() *job {
	j := l.head
	l.head, j.next = j.next, nil
	if l.head == nil {
		l.tail = nil
	}
	return j
}

// join moves the jobs of other to the end.
func (l *jobList) join(other *jobList) {
	switch {
	case other.empty():
		return
	case l.empty():
		*l = *other
	default:
		l.tail.next, l.tail = other.head, other.tail
	}
	*other = jobList{}
}

// orderList is a list of jobs, linked by nextReply.
type orderList struct{ head, tail *job }

func (l *orderList) push(j *job) {
	if l.head == nil {
		l.head = j
	} else {
		l.tail.nextReply = j
	}
	l.tail = j
}

// popAnswered cuts off the answered jobs at the front and returns them as a chain; nil if the first is not answered.
func (l *orderList) popAnswered() *job {
	first := l.head
	if first == nil || !first.answered {
		return nil
	}
	last := first
	for last.nextReply != nil && last.nextReply.answered {
		last = last.nextReply
	}
	l.head, last.nextReply = last.nextReply, nil
	if l.head == nil {
		l.tail = nil
	}
	return first
}
