package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// echo answers every request with its own body.
func echo(r request) (int, string) { return 200, string(r.Body) }

func TestRepliesMayOvertake(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *session) {
		first, _ := s.receive()
		second, _ := s.receive()
		s.reply(second, 200, `"second"`)
		s.reply(first, 200, `"first"`)
		s.receive()
	})
	c := dial(t, url, client.Options{})
	ctx := within(t)
	var pending []*client.Pending
	for range 2 {
		p, err := c.Start(ctx, "x", nil)
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	for i, want := range []string{`"first"`, `"second"`} {
		reply, err := pending[i].Wait(ctx)
		if err != nil || string(reply.Body) != want {
			t.Errorf("reply %d is %v, %v; want %s", i, reply, err, want)
		}
	}
}

func TestManyGoroutines(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, answer(echo)), client.Options{MaxInFlight: 10})
	g, ctx := errgroup.WithContext(within(t))
	for i := range 32 {
		g.Go(func() error {
			for j := range 50 {
				want := fmt.Sprintf("%d/%d", i, j)
				reply, err := c.Call(ctx, "x", want)
				if err != nil {
					return err
				}
				if got := strings.Trim(string(reply.Body), `"`); got != want {
					return fmt.Errorf("got %s, want %s", got, want)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestStartKeepsOrder(t *testing.T) {
	t.Parallel()
	const n = 500
	bodies := make(chan string, n)
	c := dial(t, serve(t, answer(func(r request) (int, string) {
		bodies <- string(r.Body)
		return echo(r)
	})), client.Options{MaxInFlight: 8})
	ctx := within(t)
	for i := range n {
		if _, err := c.Start(ctx, "x", i); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if got := <-bodies; got != fmt.Sprint(i) {
			t.Fatalf("request %d is %s", i, got)
		}
	}
}

func TestMaxInFlight(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	url := serve(t, func(s *session) {
		r, _ := s.receive()
		<-goOn
		s.reply(r, 200, "1")
		s.receive()
	})
	c := dial(t, url, client.Options{MaxInFlight: 1})
	first, err := c.Start(within(t), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Start(short, "x", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("second request: %v, want it to wait for a place", err)
	}
	close(goOn)
	<-first.Done()
	if _, err := c.Start(within(t), "x", nil); err != nil {
		t.Fatal(err)
	}
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *session) {
		s.receive()
		_ = s.ws.Close(websocket.StatusGoingAway, "bye")
	})
	c := dial(t, url, client.Options{})
	_, err := c.Call(within(t), "x", nil)
	lost, ok := errors.AsType[*client.DisconnectedError](err)
	if !ok || !lost.Sent || websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("call on the lost connection: %v", err)
	}
	<-c.Done()
	_, err = c.Call(within(t), "x", nil)
	if lost, ok = errors.AsType[*client.DisconnectedError](err); !ok || lost.Sent {
		t.Errorf("call after it: %v", err)
	}
	if c.Err() == nil {
		t.Error("no reason given")
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	url := serve(t, func(s *session) {
		s.receive()
		close(arrived)
		s.receive()
	})
	c := dial(t, url, client.Options{})
	p, err := c.Start(within(t), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	<-arrived
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Wait(within(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("outstanding call: %v", err)
	}
	if _, err := c.Call(within(t), "x", nil); !errors.Is(err, client.ErrClosed) {
		t.Errorf("call after Close: %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "ws://" + l.Addr().String()
	l.Close()
	_, err = client.Dial(within(t), url, client.Options{})
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("error %v does not wrap the network's", err)
	}
}

func TestDeadPeerIsNoticed(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	defer close(over)
	url := serve(t, func(*session) { <-over }) // reads nothing, so it answers no ping
	c := dial(t, url, client.Options{PingInterval: 10 * time.Millisecond, PingTimeout: 10 * time.Millisecond})
	select {
	case <-c.Done():
	case <-within(t).Done():
		t.Fatal("a peer that answers no ping is still trusted")
	}
}
