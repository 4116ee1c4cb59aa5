package main

import (
	"context"
	"fmt"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// claimCmd is `nusku claim`.
type claimCmd struct {
	Create  claimCreateCmd  `cmd:"" help:"Claim messages: until the claim ends nobody else gets them."`
	Get     claimGetCmd     `cmd:"" help:"Print a claim and the messages that it holds."`
	Renew   claimRenewCmd   `cmd:"" help:"Let a claim last longer."`
	Release claimReleaseCmd `cmd:"" help:"Give a claim's messages back to the queue."`
}

// claimTimes are the flags that say how long a claim lasts.
type claimTimes struct {
	TTL   timeSpan `name:"ttl" placeholder:"TIME" help:"How long the claim lasts; by default as the gateway says."`
	Grace timeSpan `placeholder:"TIME" help:"How much longer than the claim its messages live at least."`
}

type claimCreateCmd struct {
	clientFlags
	claimTimes
	Queue string   `arg:"" help:"The queue's name."`
	Limit int      `placeholder:"N" help:"How many messages at most; by default as the gateway says."`
	Wait  timeSpan `placeholder:"TIME" help:"How long to wait for a message when there is none; --timeout counts from then on."`
}

// options are what the client takes.
func (t *claimTimes) options(limit int) client.ClaimOptions {
	return client.ClaimOptions{Limit: limit, TTL: t.TTL.duration(), Grace: t.Grace.duration()}
}

// Help is what --help says below the usage.
func (*claimCreateCmd) Help() string {
	return "Without anything to claim it prints nothing. When a message's work is done, remove it: " +
		"nusku message delete QUEUE MESSAGE --claim CLAIM."
}

// Run claims messages.
func (k *claimCreateCmd) Run(g *globals) error {
	options := k.options(k.Limit)
	options.Wait = k.Wait.duration()
	k.Timeout += k.Wait
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		claim, err := c.Claim(ctx, k.Queue, options)
		if err != nil || claim == nil {
			return err
		}
		if !out.json {
			fmt.Fprintf(out.w, "Claim %s\n\n", claim.ID)
		}
		return printMessages(out, claim.Messages)
	})
}

type claimGetCmd struct {
	clientFlags
	Queue string `arg:"" help:"The queue's name."`
	Claim string `arg:"" help:"The claim's id."`
}

// Run prints the claim.
func (k *claimGetCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		claim, err := c.ClaimByID(ctx, k.Queue, k.Claim)
		if err != nil {
			return noClaim(err, k.Queue, k.Claim)
		}
		if !out.json {
			fmt.Fprintf(out.w, "Claim %s, made %s ago for %s\n\n", claim.ID, seconds(claim.Age), seconds(claim.TTL))
		}
		return printMessages(out, claim.Messages)
	})
}

// noClaim explains a missing claim.
func noClaim(err error, queue, id string) error {
	if client.Status(err) == 404 {
		return fmt.Errorf("queue %s has no claim %s: it has ended, or was released, and its messages can be claimed again", queue, id)
	}
	return err
}

type claimRenewCmd struct {
	clientFlags
	claimTimes
	Queue string `arg:"" help:"The queue's name."`
	Claim string `arg:"" help:"The claim's id."`
}

// Run renews the claim.
func (k *claimRenewCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		if err := c.RenewClaim(ctx, k.Queue, k.Claim, k.options(0)); err != nil {
			return noClaim(err, k.Queue, k.Claim)
		}
		return out.say(map[string]any{"claim_id": k.Claim, "renewed": true}, "Claim %s renewed.", k.Claim)
	})
}

type claimReleaseCmd struct {
	clientFlags
	Queue string `arg:"" help:"The queue's name."`
	Claim string `arg:"" help:"The claim's id."`
}

// Run releases the claim.
func (k *claimReleaseCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		if err := c.ReleaseClaim(ctx, k.Queue, k.Claim); err != nil {
			return err
		}
		return out.say(map[string]any{"claim_id": k.Claim, "released": true}, "Claim %s released.", k.Claim)
	})
}
