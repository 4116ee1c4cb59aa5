package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/protocol/client"
)

const created = `{"subscription_id":"s","message":"Subscription q created."}`

// subscribed is a session that answers a subscription_create and then calls next.
func subscribed(next func(*session)) func(*session) {
	return func(s *session) {
		r, ok := s.receive()
		if !ok {
			return
		}
		if r.Action != "subscription_create" {
			s.t.Errorf("%s instead of a subscription", r.Action)
		}
		s.reply(r, 201, created)
		next(s)
		for ok {
			_, ok = s.receive()
		}
	}
}

func notification(n int, pad string) string {
	return fmt.Sprintf(`{"Message_Type":"Notification","queue_name":"q","ttl":60,"body":[%d,"%s"]}`, n, pad)
}

func TestPushes(t *testing.T) {
	t.Parallel()
	url := serve(t, subscribed(func(s *session) {
		s.send(`{"body":{"a":1},"Message_Type":"Notification","queue_name":"q","ttl":300}`)
		s.send(`{"Message_Type":"Notification","queue_name":"other","ttl":60,"body":0}`)
		s.send(`{"Message_Type":"Gap","queue_name":"q","body":{"from":2,"to":5,"reason":"purged"}}`)
		s.send(`{"Message_Type":"Notification","queue_name":"q","ttl":60,"age":3,"id":"1-6","marker":"1-6","body":"x"}`)
		s.send(`{"Message_Type":"Gap","queue_name":"q","body":{"from":7,"to":7,"reason":"subscription_expired"}}`)
	}))
	c := dial(t, url, client.Options{})
	sub, err := c.Subscribe(within(t), "q", client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if sub.ID() != "s" || sub.Queue() != "q" {
		t.Errorf("subscription %q to %q", sub.ID(), sub.Queue())
	}
	var got []client.Event
	for event, err := range sub.Events(within(t)) {
		if errors.Is(err, client.ErrUnsubscribed) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, event)
	}
	want := []client.Event{
		{Kind: client.Pushed, Body: []byte(`{"a":1}`), TTL: 5 * time.Minute},
		{Kind: client.Gapped, Gap: protocol.Gap{From: 2, To: 5, Reason: protocol.GapPurged}},
		{Kind: client.Pushed, Body: []byte(`"x"`), TTL: time.Minute, Age: 3 * time.Second, ID: "1-6", Marker: "1-6"},
		{Kind: client.Gapped, Gap: protocol.Gap{From: 7, To: 7, Reason: protocol.GapSubscriptionExpired}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSubscribeTwice(t *testing.T) {
	t.Parallel()
	deleted := make(chan string, 1)
	url := serve(t, answer(func(r request) (int, string) {
		if r.Action == "subscription_delete" {
			deleted <- string(r.Body)
			return 204, `"Subscription s removed."`
		}
		return 201, created
	}))
	c := dial(t, url, client.Options{})
	sub, err := c.Subscribe(within(t), "q", client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(within(t), "q", client.SubscribeOptions{}); !errors.Is(err, client.ErrSubscribed) {
		t.Errorf("second subscription: %v", err)
	}
	if err := sub.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	if got, want := <-deleted, `{"queue_name":"q","subscription_id":"s"}`; got != want {
		t.Errorf("deleted %s, want %s", got, want)
	}
	if _, err := sub.Next(within(t)); !errors.Is(err, client.ErrUnsubscribed) {
		t.Errorf("next of a closed subscription: %v", err)
	}
	if _, err := c.Subscribe(within(t), "q", client.SubscribeOptions{}); err != nil {
		t.Errorf("subscription after the first was closed: %v", err)
	}
}

func TestRefusedSubscription(t *testing.T) {
	t.Parallel()
	url := serve(t, answer(func(request) (int, string) { return 409, `"Subscription q not created."` }))
	c := dial(t, url, client.Options{})
	for range 2 { // a refused one leaves nothing behind
		if _, err := c.Subscribe(within(t), "q", client.SubscribeOptions{}); client.Status(err) != 409 {
			t.Errorf("error %v, want status 409", err)
		}
	}
}

// TestBackPressure has a gateway that sends more than any buffer holds to a client that takes nothing at first.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	const n, limit = 4000, 64 << 10
	pad := strings.Repeat("x", 4096)
	url := serve(t, subscribed(func(s *session) {
		for i := range n {
			s.send(notification(i, pad))
		}
	}))
	c := dial(t, url, client.Options{PushBuffer: limit})
	sub, err := c.Subscribe(within(t), "q", client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return client.Stalled(c) })
	for i := range n {
		if got := client.Buffered(c); got > limit+5000 {
			t.Fatalf("%d bytes wait, the limit is %d", got, limit)
		}
		event, err := sub.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("[%d,", i); !strings.HasPrefix(string(event.Body), want) {
			t.Fatalf("push %d is %.20s", i, event.Body)
		}
	}
}

// TestCallWhileStalled: a consumer that calls before it takes the next event gets its reply, which stands behind
// pushes that have no room.
func TestCallWhileStalled(t *testing.T) {
	t.Parallel()
	const limit = 16 << 10
	pad := strings.Repeat("x", 1000)
	url := serve(t, subscribed(func(s *session) {
		for i := range 200 {
			s.send(notification(i, pad))
		}
		for {
			r, ok := s.receive()
			if !ok {
				return
			}
			s.reply(r, 200, `"there"`)
		}
	}))
	c := dial(t, url, client.Options{PushBuffer: limit})
	sub, err := c.Subscribe(within(t), "q", client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return client.Stalled(c) })
	if _, err := c.Call(within(t), "x", nil); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if _, err := sub.Next(within(t)); err != nil {
			t.Fatal(i, err)
		}
	}
}

// TestSlowConsumer: when even the higher bound is reached, requests fail instead of waiting for ever, and work again
// once the pushes were taken.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	const n = 400
	pad := strings.Repeat("x", 1000)
	url := serve(t, subscribed(func(s *session) {
		for i := range n {
			s.send(notification(i, pad))
		}
		for {
			r, ok := s.receive()
			if !ok {
				return
			}
			s.reply(r, 200, `"there"`)
		}
	}))
	c := dial(t, url, client.Options{PushBuffer: 4 << 10})
	sub, err := c.Subscribe(within(t), "q", client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return client.Stalled(c) })
	for range 2 {
		if _, err := c.Call(within(t), "x", nil); !errors.Is(err, client.ErrSlowConsumer) {
			t.Fatalf("call behind the pushes: %v", err)
		}
	}
	for i := range n {
		if _, err := sub.Next(within(t)); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := c.Call(within(t), "x", nil); err != nil {
		t.Fatal(err)
	}
}

func TestCloseWhileStalled(t *testing.T) {
	t.Parallel()
	pad := strings.Repeat("x", 1000)
	url := serve(t, subscribed(func(s *session) {
		for i := range 100 {
			s.send(notification(i, pad))
		}
	}))
	c := dial(t, url, client.Options{PushBuffer: 1000})
	if _, err := c.Subscribe(within(t), "q", client.SubscribeOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return client.Stalled(c) })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *session) {
		subscribed(func(s *session) {
			s.send(notification(s.number, ""))
			if s.number == 1 {
				_ = s.ws.Close(websocket.StatusGoingAway, "restart")
				return
			}
			r, _ := s.receive()
			s.reply(r, 200, `"there"`)
		})(s)
	})
	var ups []bool
	c := dial(t, url, client.Options{Reconnect: true, Backoff: soon, OnConnection: func(up bool, _ error) { ups = append(ups, up) }})
	sub, err := c.Subscribe(within(t), "q", client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 3 {
		event, err := sub.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(event.Kind, string(event.Body)))
	}
	want := []string{fmt.Sprint(client.Pushed, `[1,""]`), fmt.Sprint(client.Resumed, ""), fmt.Sprint(client.Pushed, `[2,""]`)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := c.Call(within(t), "x", nil); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if diff := cmp.Diff([]bool{false, true}, ups); diff != "" {
		t.Error(diff)
	}
}

func TestRequestsWaitForTheNextConnection(t *testing.T) {
	t.Parallel()
	lost := make(chan struct{}, 1)
	url := serve(t, func(s *session) {
		if s.number == 1 {
			_ = s.ws.Close(websocket.StatusServiceRestart, "")
			return
		}
		answer(echo)(s)
	})
	c := dial(t, url, client.Options{Reconnect: true, Backoff: soon, OnConnection: func(up bool, _ error) {
		if !up {
			lost <- struct{}{}
		}
	}})
	<-lost
	if _, err := c.Call(within(t), "x", 1); err != nil {
		t.Fatal(err)
	}
}

func TestNoReconnectWhenToldSo(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *session) { _ = s.ws.Close(websocket.StatusPolicyViolation, "no") })
	c := dial(t, url, client.Options{Reconnect: true, Backoff: soon})
	select {
	case <-c.Done():
	case <-within(t).Done():
		t.Fatal("it comes back for ever")
	}
	if websocket.CloseStatus(c.Err()) != websocket.StatusPolicyViolation {
		t.Errorf("reason %v", c.Err())
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, subscribed(func(*session) {})), client.Options{})
	sub, err := c.Subscribe(within(t), "q", client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sub.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
