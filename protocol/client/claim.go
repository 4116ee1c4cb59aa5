package client

import (
	"context"
	"time"
)

// ClaimOptions say what to claim and for how long.
type ClaimOptions struct {
	// Limit is the largest number of messages; the gateway's default if zero.
	Limit int
	// TTL is how long the claim holds, Grace how much longer than the claim its messages live at least; the gateway's
	// defaults if zero.
	TTL, Grace time.Duration
	// Wait is how long to wait for a message when there is none; not at all if zero. The gateway allows 60 s by default.
	Wait time.Duration
}

// Claim is a lease on messages: until it expires nobody else can claim them.
type Claim struct {
	ID string
	// TTL and Age are zero in a claim that was just made.
	TTL, Age time.Duration
	Messages []Message
}

type claimBody struct {
	queueBody
	ClaimID string  `json:"claim_id,omitempty"`
	Limit   int     `json:"limit,omitempty"`
	TTL     seconds `json:"ttl,omitempty"`
	Grace   seconds `json:"grace,omitempty"`
	Wait    seconds `json:"wait,omitempty"`
}

// claimReply is a claim on the wire.
type claimReply struct {
	ClaimID  string    `json:"claim_id"`
	TTL      seconds   `json:"ttl"`
	Age      seconds   `json:"age"`
	Messages []Message `json:"messages"`
}

// Claim takes a lease on messages from the head of a queue. It returns nil, and no error, if there is nothing to
// claim, or nothing has come in the time that options.Wait gives. Delete each message when its work is done.
func (c *Client) Claim(ctx context.Context, queue string, options ClaimOptions) (*Claim, error) {
	var result claimReply
	body := claimBody{
		queueBody: named(queue), Limit: options.Limit, TTL: inSeconds(options.TTL), Grace: inSeconds(options.Grace),
		Wait: inSeconds(options.Wait),
	}
	if _, err := c.call(ctx, "claim_create", body, &result); err != nil || len(result.Messages) == 0 {
		return nil, err
	}
	return &Claim{ID: result.ClaimID, Messages: result.Messages}, nil
}

// ClaimByID returns a live claim with the messages that it still holds.
func (c *Client) ClaimByID(ctx context.Context, queue, id string) (*Claim, error) {
	var result claimReply
	if _, err := c.call(ctx, "claim_get", claimBody{queueBody: named(queue), ClaimID: id}, &result); err != nil {
		return nil, err
	}
	return &Claim{id, result.TTL.duration(), result.Age.duration(), result.Messages}, nil
}

// RenewClaim lets a live claim end ttl from now. Limit and Wait of options are not used.
func (c *Client) RenewClaim(ctx context.Context, queue, id string, options ClaimOptions) error {
	_, err := c.Call(ctx, "claim_update",
		claimBody{queueBody: named(queue), ClaimID: id, TTL: inSeconds(options.TTL), Grace: inSeconds(options.Grace)})
	return err
}

// ReleaseClaim gives a claim's messages back to the queue. It is no error if there is no such claim.
func (c *Client) ReleaseClaim(ctx context.Context, queue, id string) error {
	_, err := c.Call(ctx, "claim_delete", claimBody{queueBody: named(queue), ClaimID: id})
	return err
}
