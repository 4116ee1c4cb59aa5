package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// numbered is the body of a test's message.
type numbered struct {
	N int `json:"n"`
}

func number(body json.RawMessage) (int, error) {
	m := numbered{-1}
	if err := json.Unmarshal(body, &m); err != nil {
		return -1, err
	}
	return m.N, nil
}

// postAll posts the messages 0 to n-1, ten at a time, in order.
func postAll(ctx context.Context, c *client.Client, queue string, n int) error {
	for i := 0; i < n; i += 10 {
		var batch []client.NewMessage
		for j := i; j < min(i+10, n); j++ {
			batch = append(batch, client.NewMessage{Body: numbered{j}})
		}
		if _, err := c.Post(ctx, queue, batch...); err != nil {
			return err
		}
	}
	return nil
}

// ledger knows who works on what, by the workers' own accounts.
type ledger struct {
	mu   sync.Mutex
	held map[int]hold
	done map[int]int // how often each task was done
}

type hold struct {
	worker int
	until  time.Time
}

// take notes that a worker got a task with a claim that lasts ttl from asked on: at least that long nobody else may
// have it.
func (l *ledger) take(task, worker int, asked time.Time, ttl time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if h, ok := l.held[task]; ok && now.Before(h.until) {
		return fmt.Errorf("task %d was given to worker %d while worker %d holds it", task, worker, h.worker)
	}
	if l.done[task] > 0 {
		return fmt.Errorf("task %d was given to worker %d after it was done", task, worker)
	}
	l.held[task] = hold{worker, asked.Add(ttl)}
	return nil
}

// finish notes that a task was deleted.
func (l *ledger) finish(task int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, task)
	l.done[task]++
	return len(l.done)
}

// TestTaskDistribution is the guide's first pattern: 8 workers share a queue; one dies with what it has claimed, which
// comes back when the claim ends; every task is done once, and nothing is held twice.
func TestTaskDistribution(t *testing.T) {
	t.Parallel()
	const tasks, workers, ttl = 300, 8, time.Minute
	const lostTTL = 2 * time.Second
	g, ctx := shortTimes(t), within(t)
	if err := postAll(ctx, g.dial(t, client.Options{}), "tasks", tasks); err != nil {
		t.Fatal(err)
	}
	l := &ledger{held: map[int]hold{}, done: map[int]int{}}

	asked := time.Now()
	dying := g.dial(t, client.Options{})
	lost, err := dying.Claim(ctx, "tasks", client.ClaimOptions{Limit: 20, TTL: lostTTL})
	if err != nil || lost == nil || len(lost.Messages) != 20 {
		t.Fatalf("claim %v, %v; want 20 tasks", lost, err)
	}
	for _, m := range lost.Messages {
		n, err := number(m.Body)
		if err == nil {
			err = l.take(n, 0, asked, lostTTL)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = dying.Close()

	over, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	for w := 1; w <= workers; w++ {
		c := g.dial(t, client.Options{})
		group.Go(func() error { return work(over, c, l, w, tasks, ttl, stop) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for n := range tasks {
		if l.done[n] != 1 {
			t.Errorf("task %d was done %d times", n, l.done[n])
		}
	}
	stats, err := g.dial(t, client.Options{}).QueueStats(ctx, "tasks")
	if err != nil || stats.Total != 0 {
		t.Errorf("statistics %+v, %v; want an empty queue", stats, err)
	}
}

// work claims and does tasks until all are done, which it then tells by stop.
func work(ctx context.Context, c *client.Client, l *ledger, worker, tasks int, ttl time.Duration, stop func()) error {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for ctx.Err() == nil {
		asked := time.Now()
		claim, err := c.Claim(ctx, "tasks", client.ClaimOptions{Limit: 5, TTL: ttl})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if claim == nil {
			select {
			case <-poll.C:
			case <-ctx.Done():
			}
			continue
		}
		for _, m := range claim.Messages {
			n, err := number(m.Body)
			if err != nil {
				return err
			}
			if err := l.take(n, worker, asked, ttl); err != nil {
				return err
			}
			if err := c.DeleteMessage(ctx, "tasks", m.ID, claim.ID); err != nil {
				return fmt.Errorf("worker %d, task %d: %w", worker, n, err)
			}
			if l.finish(n) == tasks {
				stop()
				return nil
			}
		}
	}
	return nil
}

// TestEventBroadcasting is the guide's second pattern: 20 observers list with markers and 20 are pushed to; each sees
// every event once, in order.
func TestEventBroadcasting(t *testing.T) {
	t.Parallel()
	const events, observers = 200, 20
	g, ctx := defaults(t), within(t)
	publisher := g.dial(t, client.Options{})
	if _, err := publisher.CreateQueue(ctx, "events", nil); err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for i := range observers {
		pushed := g.dial(t, client.Options{Extended: i%2 == 0})
		subscription, err := pushed.Subscribe(ctx, "events", client.SubscribeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() error { return expectPushes(ctx, subscription, events) })
		observer := g.dial(t, client.Options{})
		group.Go(func() error { return expectListed(ctx, observer, "events", events) })
	}
	if err := postAll(ctx, publisher, "events", events); err != nil {
		t.Fatal(err)
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// expectPushes takes the pushes 0 to n-1 in order.
func expectPushes(ctx context.Context, s *client.Subscription, n int) error {
	for want := range n {
		event, err := s.Next(ctx)
		if err != nil {
			return fmt.Errorf("push %d: %w", want, err)
		}
		if event.Kind != client.Pushed {
			return fmt.Errorf("push %d: a gap %+v", want, event.Gap)
		}
		if got, err := number(event.Body); err != nil || got != want {
			return fmt.Errorf("push %d is %s", want, event.Body)
		}
	}
	return nil
}

// expectListed lists the messages 0 to n-1 in order, by markers, while they are being posted.
func expectListed(ctx context.Context, c *client.Client, queue string, n int) error {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	page := client.MessagePage{Limit: 7}
	for seen := 0; seen < n; {
		messages, err := c.Messages(ctx, queue, page)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if got, err := number(m.Body); err != nil || got != seen {
				return fmt.Errorf("message %d of the list is %s", seen, m.Body)
			}
			seen++
			page.Marker = m.ID
		}
		if len(messages) == 0 {
			select {
			case <-poll.C:
			case <-ctx.Done():
				return fmt.Errorf("after %d of %d messages: %w", seen, n, ctx.Err())
			}
		}
	}
	return nil
}

// TestPointToPoint is the guide's third pattern: two parties talk over one queue; each skips its own messages and, by
// markers, what it has seen.
func TestPointToPoint(t *testing.T) {
	t.Parallel()
	const rounds = 25
	g, ctx := defaults(t), within(t)
	asker, replier := g.dial(t, client.Options{}), g.dial(t, client.Options{})
	var group errgroup.Group
	group.Go(func() error {
		return converse(ctx, replier, rounds, func(n int) error {
			_, err := replier.Post(ctx, "talk", client.NewMessage{Body: numbered{n * n}})
			return err
		})
	})
	if _, err := asker.Post(ctx, "talk", client.NewMessage{Body: numbered{0}}); err != nil {
		t.Fatal(err)
	}
	next := 0
	err := converse(ctx, asker, rounds, func(n int) error {
		if n != next*next {
			return fmt.Errorf("the reply to %d is %d", next, n)
		}
		if next++; next == rounds {
			return nil
		}
		_, err := asker.Post(ctx, "talk", client.NewMessage{Body: numbered{next}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// converse calls answer with each of the n messages that others post, in order.
func converse(ctx context.Context, c *client.Client, n int, answer func(int) error) error {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	page := client.MessagePage{}
	for heard := 0; heard < n; {
		messages, err := c.Messages(ctx, "talk", page)
		if err != nil {
			return err
		}
		for _, m := range messages {
			page.Marker = m.ID
			said, err := number(m.Body)
			if err == nil {
				err = answer(said)
			}
			if err != nil {
				return err
			}
			heard++
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("after %d of %d messages: %w", heard, n, ctx.Err())
		}
	}
	return nil
}
