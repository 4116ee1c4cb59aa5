package gateway

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nusku-messaging/nusku/protocol"
)

// pipelineRun drives a pipeline and keeps, for each frame in the order sent, what became of it.
type pipelineRun struct {
	p      pipeline
	frames []*pipelineFrame
	left   []int
}

type pipelineFrame struct {
	job
	n                 int
	started, finished bool
}

func (r *pipelineRun) send(class protocol.Class, queue string, ordered bool) *pipelineFrame {
	f := &pipelineFrame{n: len(r.frames)}
	f.class = class
	if class != protocol.ClassSession {
		f.key = protocol.QueueKey{Project: "p", Name: queue}
	}
	r.frames = append(r.frames, f)
	if ordered {
		r.p.expect(&f.job)
	}
	f.started = r.p.admit(&f.job)
	return f
}

// finish finishes a frame that was started and returns the numbers of the frames that it let go.
func (r *pipelineRun) finish(f *pipelineFrame) []int {
	f.finished = true
	r.p.finish(&f.job)
	for j := r.p.answer(&f.job); j != nil; j = j.nextReply {
		r.left = append(r.left, r.of(j).n)
	}
	var released []int
	for !r.p.runnable.empty() {
		g := r.of(r.p.runnable.pop())
		g.started = true
		released = append(released, g.n)
	}
	return released
}

func (r *pipelineRun) of(j *job) *pipelineFrame {
	i := slices.IndexFunc(r.frames, func(f *pipelineFrame) bool { return &f.job == j })
	return r.frames[i]
}

// mayRun is the rule itself: frame n may run if no unfinished earlier frame stands in its way.
func (r *pipelineRun) mayRun(n int) bool {
	f := r.frames[n]
	for _, e := range r.frames[:n] {
		if e.finished {
			continue
		}
		if f.class == protocol.ClassSession || e.class == protocol.ClassSession {
			return false
		}
		if e.key == f.key && (e.class != f.class || f.class == protocol.ClassExclusive || !e.started) {
			return false
		}
	}
	return true
}

var allClasses = []protocol.Class{
	protocol.ClassPost, protocol.ClassClaim, protocol.ClassDelete, protocol.ClassRead,
	protocol.ClassExclusive, protocol.ClassSession,
}

// A frame runs exactly when the rule lets it, whatever order frames come and finish in; replies without id leave in the
// order sent, those with id at once; and when all is done, nothing is left behind.
func TestPipelineModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := &pipelineRun{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			running := slices.DeleteFunc(slices.Clone(r.frames), func(f *pipelineFrame) bool { return !f.started || f.finished })
			if len(running) > 0 && rapid.Bool().Draw(t, "finish") {
				r.finish(rapid.SampledFrom(running).Draw(t, "which"))
			} else {
				class := rapid.SampledFrom(allClasses).Draw(t, "class")
				queue := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "queue")
				r.send(class, queue, rapid.Bool().Draw(t, "ordered"))
			}
			r.check(t)
		}
		for {
			i := slices.IndexFunc(r.frames, func(f *pipelineFrame) bool { return f.started && !f.finished })
			if i < 0 {
				break
			}
			r.finish(r.frames[i])
			r.check(t)
		}
		r.checkEnd(t)
	})
}

func (r *pipelineRun) check(t *rapid.T) {
	for n, f := range r.frames {
		if !f.finished && f.started != r.mayRun(n) {
			t.Fatalf("frame %d (class %d, queue %q): started %v, may run %v", n, f.class, f.key.Name, f.started, r.mayRun(n))
		}
	}
	lastOrdered := -1
	for _, n := range r.left {
		if r.frames[n].ordered {
			if n < lastOrdered {
				t.Fatalf("reply of frame %d left after that of frame %d", n, lastOrdered)
			}
			lastOrdered = n
		}
	}
	for n, f := range r.frames {
		if f.finished && !f.ordered && !slices.Contains(r.left, n) {
			t.Fatalf("reply of frame %d has an id and was held back", n)
		}
	}
}

func (r *pipelineRun) checkEnd(t *rapid.T) {
	if len(r.left) != len(r.frames) {
		t.Fatalf("%d frames, %d replies", len(r.frames), len(r.left))
	}
	p := &r.p
	if len(p.lanes) != 0 || p.inLanes != 0 || p.barrier || !p.behind.empty() || !p.runnable.empty() || p.order.head != nil {
		t.Fatalf("something is left behind: %+v", p)
	}
}

func TestPipelineStartsInOrderSent(t *testing.T) {
	t.Parallel()
	r := &pipelineRun{}
	claim := r.send(protocol.ClassClaim, "q", true)
	for range 3 {
		if f := r.send(protocol.ClassPost, "q", true); f.started {
			t.Fatalf("post %d overtook the claim before it", f.n)
		}
	}
	if other := r.send(protocol.ClassPost, "other", true); !other.started {
		t.Error("a frame waits for one of another queue")
	}
	if got := fmt.Sprint(r.finish(claim)); got != "[1 2 3]" {
		t.Errorf("the end of the claim let %s go, want [1 2 3]", got)
	}
}

func TestPipelineBarrier(t *testing.T) {
	t.Parallel()
	r := &pipelineRun{}
	post := r.send(protocol.ClassPost, "q", false)
	list := r.send(protocol.ClassSession, "", false)
	later := r.send(protocol.ClassPost, "r", false)
	if list.started || later.started {
		t.Fatal("the barrier, or what is behind it, did not wait")
	}
	if got := fmt.Sprint(r.finish(post)); got != "[1]" {
		t.Errorf("released %s, want the barrier alone", got)
	}
	if got := fmt.Sprint(r.finish(list)); got != "[2]" {
		t.Errorf("released %s, want what was behind the barrier", got)
	}
}

// The lane's key outlives the frame that opened it, whose memory is used again.
func TestPipelineLaneOwnsItsKey(t *testing.T) {
	t.Parallel()
	r := &pipelineRun{}
	frame := []byte("queue")
	first := r.send(protocol.ClassPost, string(frame), false)
	second := r.send(protocol.ClassPost, "queue", false)
	r.finish(first)
	first.key = protocol.QueueKey{}
	copy(frame, "XXXXX")
	if third := r.send(protocol.ClassClaim, "queue", false); third.started {
		t.Error("a claim overtook the second post: its lane was not found")
	}
	r.finish(second)
}
