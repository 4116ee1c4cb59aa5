package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// barrage is several clients that post numbered messages without a pause, and what became of each.
type barrage struct {
	t       *testing.T
	queue   string
	clients []*client.Client
	next    atomic.Int64
	acked   atomic.Int64
	stopped atomic.Bool
	group   sync.WaitGroup

	mu sync.Mutex
	// outcome by number: what the post was answered.
	stored  map[int]bool // 201
	unknown map[int]bool // nobody knows
	refused map[int]bool // certainly not stored
}

// startBarrage posts from n sessions, four posts under way each. A refusal (503) is noted, and posting goes on.
func startBarrage(t *testing.T, g *gateway, queue string, n int) *barrage {
	b := &barrage{t: t, queue: queue, stored: map[int]bool{}, unknown: map[int]bool{}, refused: map[int]bool{}}
	for range n {
		c := g.dial(t, client.Options{})
		b.clients = append(b.clients, c)
		for range 4 {
			b.group.Go(func() { b.post(c) })
		}
	}
	return b
}

// post posts until it is stopped or the connection is lost.
func (b *barrage) post(c *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), patience) // outlives the test's own only if it hangs
	defer cancel()
	for !b.stopped.Load() {
		n := int(b.next.Add(1) - 1)
		_, err := c.Post(ctx, b.queue, client.NewMessage{Body: numbered{n}})
		if b.note(n, err) {
			return
		}
	}
}

// note notes a post's outcome and says whether the session is over.
func (b *barrage) note(n int, err error) (over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.stored[n] = true
		b.acked.Add(1)
		return false
	}
	if refused, ok := errors.AsType[*client.Error](err); ok {
		if refused.Status != 503 {
			b.t.Errorf("post %d: %v", n, err)
		}
		if refused.Outcome == "unknown" {
			b.unknown[n] = true
		} else {
			b.refused[n] = true
		}
		return false
	}
	lost, ok := errors.AsType[*client.DisconnectedError](err)
	if !ok {
		b.t.Errorf("post %d: %v", n, err)
	}
	if !ok || lost.Sent {
		b.unknown[n] = true
	} else {
		b.refused[n] = true
	}
	return true
}

// await waits until n posts were acknowledged in all.
func (b *barrage) await(n int64) {
	b.t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	ctx := within(b.t)
	for b.acked.Load() < n {
		select {
		case <-look.C:
		case <-ctx.Done():
			b.t.Fatalf("only %d of %d posts were acknowledged", b.acked.Load(), n)
		}
	}
}

// stop ends the posting and waits for the outstanding posts.
func (b *barrage) stop() {
	b.stopped.Store(true)
	b.group.Wait()
}

// check compares the queue with what was answered.
func (b *barrage) check(c *client.Client) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	messages, err := allMessages(within(b.t), c, b.queue)
	if err != nil {
		b.t.Fatal(err)
	}
	there := map[int]int{}
	for _, m := range messages {
		n, err := number(m.Body)
		if err != nil {
			b.t.Fatal(err)
		}
		there[n]++
	}
	missing := 0
	for n := range b.stored {
		if there[n] == 0 {
			missing++
		}
	}
	if missing > 0 {
		b.t.Errorf("%d of %d acknowledged messages are gone", missing, len(b.stored))
	}
	for n, times := range there {
		if times > 1 {
			b.t.Errorf("message %d is there %d times", n, times)
		}
		if b.refused[n] {
			b.t.Errorf("message %d is there, but was refused for certain", n)
		}
	}
	b.t.Logf("%d acknowledged, %d refused, %d unknown, %d there", len(b.stored), len(b.refused), len(b.unknown), len(there))
}

func TestKillGateway(t *testing.T) {
	t.Parallel()
	g := own(t)
	b := startBarrage(t, g, "q", 8)
	b.await(500)
	g.kill()
	b.stop()
	b.check(g.again(t).dial(t, client.Options{}))
}

// TestKillPostgres: sessions outlive the database's crash, posts are answered 503 meanwhile, and a subscriber gets
// everything that is there in the end, in order.
func TestKillPostgres(t *testing.T) {
	t.Parallel()
	g := own(t)
	watcher := g.dial(t, client.Options{})
	subscription, err := watcher.Subscribe(within(t), "q", client.SubscribeOptions{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b := startBarrage(t, g, "q", 8)
	b.await(500)
	if err := syscall.Kill(g.postmaster(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.await(b.acked.Load() + 500)
	b.stop()
	for i, c := range b.clients {
		if c.Err() != nil {
			t.Errorf("session %d ended: %v", i, c.Err())
		}
	}
	reader := g.dial(t, client.Options{})
	b.check(reader)
	messages, err := allMessages(within(t), reader, "q")
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range messages {
		event, err := subscription.Next(within(t))
		if err != nil || event.Kind != client.Pushed || string(event.Body) != string(m.Body) {
			t.Fatalf("push %d is %s (%v, %v), the queue has %s", i, event.Body, event.Gap, err, m.Body)
		}
	}
}

func TestTerminateUnderLoad(t *testing.T) {
	t.Parallel()
	g := own(t)
	b := startBarrage(t, g, "q", 8)
	b.await(500)
	if err := g.terminate(); err != nil {
		t.Error(err)
	}
	b.stop()
	for i, c := range b.clients {
		<-c.Done()
		if code := websocket.CloseStatus(c.Err()); code != websocket.StatusGoingAway {
			t.Errorf("session %d was closed with %v, want 1001: %v", i, code, c.Err())
		}
	}
	b.check(g.again(t).dial(t, client.Options{}))
}

// TestFrozenDatabase: while the database does not answer, posts are answered 503 within 5 s and never 201; afterwards
// they work again.
func TestFrozenDatabase(t *testing.T) {
	t.Parallel()
	g := own(t)
	b := startBarrage(t, g, "q", 4)
	b.await(200)
	b.stop()

	caught := startBarrage(t, g, "caught", 4)
	caught.await(50)
	thaw := freeze(t, g)
	frozen := time.Now()
	caught.stop()
	if took := time.Since(frozen); took > answered {
		t.Errorf("the posts under way were answered after %v", took)
	}
	caught.mu.Lock()
	if len(caught.refused)+len(caught.unknown) == 0 {
		t.Error("no post was under way when the database froze")
	}
	caught.mu.Unlock()

	c := g.dial(t, client.Options{})
	postBehindList(t, c)
	for n := range 3 {
		asked := time.Now()
		_, err := c.Post(within(t), "q", client.NewMessage{Body: numbered{1_000_000 + n}})
		if took := time.Since(asked); took > answered {
			t.Errorf("post %d was answered after %v", n, took)
		}
		refused, ok := errors.AsType[*client.Error](err)
		if !ok || refused.Status != 503 {
			t.Fatalf("post %d without a database: %v, want 503", n, err)
		}
		if refused.RetryAfter <= 0 {
			t.Errorf("post %d is answered without a hint when to try again: %v", n, err)
		}
		b.note(1_000_000+n, err)
	}
	thaw()

	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	ctx := within(t)
	for n := 2_000_000; ; n++ {
		_, err := c.Post(ctx, "q", client.NewMessage{Body: numbered{n}})
		b.note(n, err)
		if err == nil {
			break
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			t.Fatalf("posts do not work again: %v", err)
		}
	}
	b.check(c)
	caught.check(c)
}

// answered is within what time everything is answered that the database does not answer.
const answered = 5 * time.Second

// postBehindList posts on a session that waits for a list of the same queue: the post's time runs from its arrival.
func postBehindList(t *testing.T, c *client.Client) {
	t.Helper()
	asked := time.Now()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		if _, err := c.Messages(within(t), "q", client.MessagePage{}); client.Status(err) != 503 {
			t.Errorf("list without a database: %v, want 503", err)
		}
	})
	group.Go(func() {
		if _, err := c.Post(within(t), "q", client.NewMessage{Body: "behind a list"}); client.Status(err) != 503 {
			t.Errorf("post behind a list: %v, want 503", err)
		}
		if took := time.Since(asked); took > answered {
			t.Errorf("a post behind a list was answered after %v", took)
		}
	})
}

// TestTerminateFrozenDatabase: a database that does not get on holds up the end no longer than the settings say.
func TestTerminateFrozenDatabase(t *testing.T) {
	t.Parallel()
	const drain, stop, kill = 2 * time.Second, time.Second, 10 * time.Second
	g := own(t, "--drain-timeout="+drain.String(), "--db-stop-timeout="+stop.String())
	b := startBarrage(t, g, "q", 2)
	b.await(50)
	thaw := freeze(t, g)
	asked := time.Now()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-g.exited:
	case <-within(t).Done():
		t.Fatalf("the gateway does not end:\n%s", g.log.String())
	}
	if took := time.Since(asked); took > drain+stop+kill+5*time.Second {
		t.Errorf("the gateway ended after %v", took)
	} else {
		t.Logf("ended after %v", took)
	}
	b.stop()
	thaw()
	b.check(g.again(t).dial(t, client.Options{}))
}

// freeze stops the gateway's PostgreSQL, all of its processes, until thaw.
func freeze(t *testing.T, g *gateway) (thaw func()) {
	t.Helper()
	postmaster := g.postmaster(t)
	stopped := []int{postmaster}
	signal := func(pid int, s syscall.Signal) {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
	signal(postmaster, syscall.SIGSTOP) // first: then it starts no more
	for _, pid := range children(t, postmaster) {
		signal(pid, syscall.SIGSTOP)
		stopped = append(stopped, pid)
	}
	var once sync.Once
	thaw = func() {
		once.Do(func() {
			for _, pid := range stopped {
				signal(pid, syscall.SIGCONT)
			}
		})
	}
	t.Cleanup(thaw)
	return thaw
}

// TestSecondGatewayOnTheSameData: it is refused, says why, and harms nothing.
func TestSecondGatewayOnTheSameData(t *testing.T) {
	t.Parallel()
	g := own(t)
	if _, err := startGateway(g.dir); err == nil {
		t.Fatal("two gateways run on one data folder")
	} else {
		t.Log(err)
	}
	// startGateway has removed the first one's ready file; the data must be as they were.
	if _, err := os.Stat(filepath.Join(g.dataDir(), "postgres", "PG_VERSION")); err != nil {
		t.Error(err)
	}
	if _, err := g.dial(t, client.Options{}).Post(within(t), "q", client.NewMessage{Body: 1}); err != nil {
		t.Error(err)
	}
}
