package client

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// redial connects again, on the given schedule, until it succeeds or the client or the schedule ends: then it
// returns nil.
func (c *Client) redial(schedule backoff.BackOff) *link {
	for {
		pause := schedule.NextBackOff()
		if pause == backoff.Stop || !sleep(c.life, pause) {
			return nil
		}
		l, err := c.dial(c.life)
		if err == nil {
			l.resumes = true
			return l
		}
		c.opts.OnConnection(false, err)
	}
}

// sleep waits for d; false means that ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// resume authenticates and subscribes again on a new connection and then opens it to everybody's requests. An error
// means that the connection is of no use.
func (c *Client) resume(l *link) error {
	c.mu.Lock()
	authenticate := c.authenticate
	var subscriptions []*Subscription
	for _, s := range c.subscriptions {
		if s.created {
			subscriptions = append(subscriptions, s)
		}
	}
	c.mu.Unlock()
	if authenticate.action != "" {
		if _, err := c.callOn(l, authenticate, nil); err != nil {
			return err
		}
	}
	for _, s := range subscriptions {
		if err := c.resubscribe(l, s); err != nil {
			return err
		}
	}
	c.publish(l)
	c.opts.OnConnection(true, nil)
	return nil
}

// resubscribe makes s anew on l. A refusal ends s alone, unless the gateway says that it is unwell.
func (c *Client) resubscribe(l *link, s *Subscription) error {
	_, err := c.callOn(l, s.request, func(reply *Reply) { // before the first push on l
		c.mu.Lock()
		defer c.mu.Unlock()
		s.id = subscriptionID(reply)
		s.appendLocked(Event{Kind: Resumed}, 0)
	})
	if status := Status(err); status == 0 || status >= 500 {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subscriptions, s.queue)
	s.endLocked(err)
	return nil
}

// callOn sends a request on l and waits for the reply as long as l lives. then is Pending.then.
func (c *Client) callOn(l *link, r request, then func(*Reply)) (*Reply, error) {
	p := newPending(r.action)
	p.then = then
	if err := c.startOn(l.ctx, l, p, r); err != nil {
		return nil, err
	}
	return p.Wait(l.ctx)
}
