package main

import (
	"context"
	"time"

	"github.com/nusku-messaging/nusku/protocol/client"
)

type deadListCmd struct {
	clientFlags
	pageFlags
	subscriptionArgs
}

// Help is what --help says below the usage.
func (*deadListCmd) Help() string {
	return "When all attempts have failed, a message is kept aside and the ones behind it go on. With `nusku subscription resend` they " +
		"are sent again, with `nusku subscription discard` they are forgotten."
}

// Run lists the dead deliveries.
func (k *deadListCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		dead, err := allPages(ctx, k.pageFlags, func(d client.DeadDelivery) string { return d.ID },
			func(ctx context.Context, marker string, limit int) ([]client.DeadDelivery, error) {
				return c.DeadDeliveries(ctx, k.Queue, k.Subscription, marker, limit)
			})
		if err != nil {
			return k.subscriptionArgs.explain(err)
		}
		return rows(out, "DELIVERY FAILED ATTEMPTS AGAIN REASON BODY", dead, func(d client.DeadDelivery) any { return d },
			func(d client.DeadDelivery) []string {
				return []string{d.ID, d.Failed.Local().Format(time.DateTime), count(int64(d.Attempts)), yesNo(d.Resend), d.Reason, clip(d.Body, 60)}
			})
	})
}

// deadArgs name dead deliveries of a subscription.
type deadArgs struct {
	subscriptionArgs
	IDs []string `arg:"" name:"delivery" optional:"" help:"Their ids; by default all of them."`
}

type deadResendCmd struct {
	clientFlags
	deadArgs
}

// Run has dead deliveries sent again.
func (k *deadResendCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		n, err := c.ResendDeliveries(ctx, k.Queue, k.Subscription, k.IDs...)
		if err != nil {
			return k.subscriptionArgs.explain(err)
		}
		return out.say(map[string]any{"resent": n}, "%d to be sent again.", n)
	})
}

type deadDiscardCmd struct {
	clientFlags
	deadArgs
}

// Run forgets dead deliveries.
func (k *deadDiscardCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		n, err := c.DeleteDeliveries(ctx, k.Queue, k.Subscription, k.IDs...)
		if err != nil {
			return k.subscriptionArgs.explain(err)
		}
		return out.say(map[string]any{"discarded": n}, "%d discarded.", n)
	})
}
