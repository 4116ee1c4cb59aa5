package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// subscribeCmd is `nusku subscribe`.
type subscribeCmd struct {
	clientFlags
	Queue string `arg:"" help:"The queue's name."`
	Count int    `placeholder:"N" help:"End after this many messages; by default only when interrupted."`
}

// Help is what --help says below the usage.
func (*subscribeCmd) Help() string {
	return "Prints the body of each message that is posted from now on, one a line, until it is interrupted (Ctrl-C). " +
		"It outlives a restart of the gateway, and says on standard error what it may have missed."
}

// subscriptionTTL is how long the gateway keeps the subscription of a session that stays.
const subscriptionTTL = 30 * 24 * time.Hour

// pushed is what --json prints of a message.
type pushed struct {
	ID   string          `json:"id"`
	Age  int64           `json:"age"`
	TTL  int64           `json:"ttl"`
	Body json.RawMessage `json:"body"`
}

// Run prints pushes until it is interrupted.
func (k *subscribeCmd) Run(g *globals) error {
	start, cancel := context.WithTimeout(g.ctx, k.Timeout.duration())
	defer cancel()
	c, err := k.dial(start, client.Options{Extended: true, Reconnect: true, OnConnection: func(up bool, err error) {
		if !up && g.ctx.Err() == nil {
			fmt.Fprintf(g.stderr, "nusku: connection lost (%v); connecting again\n", err)
		}
	}})
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.Subscribe(start, k.Queue, client.SubscribeOptions{TTL: subscriptionTTL})
	if err != nil {
		return k.explain(err)
	}
	if isTerminal(g.stdout) {
		fmt.Fprintf(g.stderr, "Waiting for messages of %s. Ctrl-C ends.\n", k.Queue)
	}
	return k.print(g, s)
}

// print prints events until the end.
func (k *subscribeCmd) print(g *globals, s *client.Subscription) error {
	out, n := k.output(g), 0
	for event, err := range s.Events(g.ctx) {
		switch {
		case errors.Is(err, context.Canceled) && g.ctx.Err() != nil:
			return nil // interrupted, as it is meant to be
		case err != nil:
			return k.explain(err)
		case event.Kind == client.Gapped:
			fmt.Fprintf(g.stderr, "nusku: messages %d to %d will not come: %s\n", event.Gap.From, event.Gap.To, event.Gap.Reason)
			continue
		case event.Kind == client.Resumed:
			fmt.Fprintln(g.stderr, "nusku: connected again; `nusku message list` shows what was posted meanwhile")
			continue
		}
		age, ttl := int64(event.Age/time.Second), int64(event.TTL/time.Second)
		if err := out.say(pushed{event.ID, age, ttl, event.Body}, "%s", event.Body); err != nil {
			return err
		}
		if n++; n == k.Count {
			return nil
		}
	}
	return nil
}
