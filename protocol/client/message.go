package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// NoDelay as a NewMessage's Delay asks for no delay even if the queue's default is one.
const NoDelay = -1 * time.Second

// NewMessage is a message to be posted.
type NewMessage struct {
	// Body is encoded as JSON; a json.RawMessage is sent without its insignificant white space.
	Body any
	// TTL is how long the message lives; the queue's default if zero.
	TTL time.Duration
	// Delay is how long nobody sees it; the queue's default if zero, none if NoDelay.
	Delay time.Duration
}

// MarshalJSON encodes m as message_post has it. Durations become whole seconds, rounded up.
func (m NewMessage) MarshalJSON() ([]byte, error) {
	wire := struct {
		Body  any      `json:"body"`
		TTL   seconds  `json:"ttl,omitempty"`
		Delay *seconds `json:"delay,omitempty"`
	}{Body: m.Body, TTL: inSeconds(m.TTL)}
	if m.Delay != 0 {
		delay := max(inSeconds(m.Delay), 0)
		wire.Delay = &delay
	}
	return encode(wire)
}

// Message is a stored message.
type Message struct {
	ID string
	// Body is JSON.
	Body json.RawMessage
	TTL  time.Duration
	Age  time.Duration
	// ClaimID is the claim that holds the message; "" if none, and in lists.
	ClaimID string
	// ClaimCount says how many claims ended without the message's deletion, where the gateway tells.
	ClaimCount int
	// Checksum is "" unless the gateway tells.
	Checksum string
}

// UnmarshalJSON decodes a message as the gateway sends it.
func (m *Message) UnmarshalJSON(b []byte) error {
	var wire struct {
		ID         string          `json:"id"`
		Body       json.RawMessage `json:"body"`
		TTL        seconds         `json:"ttl"`
		Age        seconds         `json:"age"`
		ClaimID    text            `json:"claim_id"`
		ClaimCount int             `json:"claim_count"`
		Checksum   text            `json:"checksum"`
	}
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	*m = Message{
		ID: wire.ID, Body: wire.Body, TTL: wire.TTL.duration(), Age: wire.Age.duration(),
		ClaimID: string(wire.ClaimID), ClaimCount: wire.ClaimCount, Checksum: string(wire.Checksum),
	}
	return nil
}

// MarshalJSON encodes m as the gateway does.
func (m Message) MarshalJSON() ([]byte, error) {
	return encode(struct {
		ID         string          `json:"id"`
		ClaimID    string          `json:"claim_id,omitempty"`
		TTL        seconds         `json:"ttl"`
		Age        seconds         `json:"age"`
		ClaimCount int             `json:"claim_count,omitempty"`
		Checksum   string          `json:"checksum,omitempty"`
		Body       json.RawMessage `json:"body"`
	}{m.ID, m.ClaimID, inSeconds(m.TTL), inSeconds(m.Age), m.ClaimCount, m.Checksum, m.Body})
}

// PendingPost is a post on its way.
type PendingPost struct{ *Pending }

// Wait returns the messages' ids, in the order of the post. Without an error they are committed.
func (p PendingPost) Wait(ctx context.Context) ([]string, error) {
	reply, err := p.Pending.Wait(ctx)
	if err != nil {
		return nil, err
	}
	var result struct {
		IDs []string `json:"message_ids"`
	}
	if err := json.Unmarshal(reply.Body, &result); err != nil {
		return nil, fmt.Errorf("message_post: decode the reply: %w", err)
	}
	return result.IDs, nil
}

// StartPost posts messages and returns before they are stored. Posts that one goroutine starts to one queue keep
// their order in it.
func (c *Client) StartPost(ctx context.Context, queue string, messages ...NewMessage) (PendingPost, error) {
	p, err := c.Start(ctx, "message_post", struct {
		queueBody
		Messages []NewMessage `json:"messages"`
	}{named(queue), messages})
	return PendingPost{p}, err
}

// Post stores messages, all or none, and returns their ids. The queue is made if it is missing.
func (c *Client) Post(ctx context.Context, queue string, messages ...NewMessage) ([]string, error) {
	p, err := c.StartPost(ctx, queue, messages...)
	if err != nil {
		return nil, err
	}
	return p.Wait(ctx)
}

// MessagePage asks for a page of a queue's messages.
type MessagePage struct {
	// Marker is the id of the message after which the page starts; the head of the queue if empty.
	Marker string `json:"marker,omitempty"`
	// Limit is the size of the page; the gateway's default if zero.
	Limit int `json:"limit,omitempty"`
	// Echo includes the messages that this client posted.
	Echo bool `json:"echo,omitempty"`
	// IncludeClaimed and IncludeDelayed include messages that nobody can claim now.
	IncludeClaimed bool `json:"include_claimed,omitempty"`
	IncludeDelayed bool `json:"include_delayed,omitempty"`
	// Wait is how long to wait for a message when the page is empty; not at all if zero. The gateway allows 60 s by
	// default.
	Wait time.Duration `json:"-"`
}

// messages is the body of the replies that carry several.
type messages struct {
	Messages []Message `json:"messages"`
}

// Messages lists messages without claiming them. The next page's marker is the id of the last one.
func (c *Client) Messages(ctx context.Context, queue string, page MessagePage) ([]Message, error) {
	var result messages
	_, err := c.call(ctx, "message_list", struct {
		queueBody
		MessagePage
		Seconds seconds `json:"wait,omitempty"`
	}{named(queue), page, inSeconds(page.Wait)}, &result)
	return result.Messages, err
}

// Message returns one message. A missing one is an *Error of status 404.
func (c *Client) Message(ctx context.Context, queue, id string) (*Message, error) {
	var result struct {
		Message Message `json:"messages"` // an object here, by the protocol
	}
	if _, err := c.call(ctx, "message_get", messageBody{named(queue), id, ""}, &result); err != nil {
		return nil, err
	}
	return &result.Message, nil
}

// MessagesByID returns those of the messages that exist.
func (c *Client) MessagesByID(ctx context.Context, queue string, ids ...string) ([]Message, error) {
	var result messages
	_, err := c.call(ctx, "message_get_many", messagesBody{queueBody: named(queue), IDs: ids}, &result)
	return result.Messages, err
}

type messageBody struct {
	queueBody
	ID      string `json:"message_id"`
	ClaimID string `json:"claim_id,omitempty"`
}

type messagesBody struct {
	queueBody
	IDs      []string `json:"message_ids,omitempty"`
	ClaimIDs []string `json:"claim_ids,omitempty"`
	Pop      int      `json:"pop,omitempty"`
}

// DeleteMessage removes a message. A claimed one needs the id of the claim that holds it, else it is refused with
// status 403; a missing one is no error.
func (c *Client) DeleteMessage(ctx context.Context, queue, id, claimID string) error {
	_, err := c.Call(ctx, "message_delete", messageBody{named(queue), id, claimID})
	return err
}

// DeleteMessages removes messages by id. Claims do not hinder it, unless the gateway is set to demand them: then
// claimIDs are the claims that hold the messages.
func (c *Client) DeleteMessages(ctx context.Context, queue string, ids []string, claimIDs ...string) error {
	_, err := c.Call(ctx, "message_delete_many", messagesBody{queueBody: named(queue), IDs: ids, ClaimIDs: claimIDs})
	return err
}

// Pop removes up to n messages from the head of a queue and returns them.
func (c *Client) Pop(ctx context.Context, queue string, n int) ([]Message, error) {
	var result messages
	_, err := c.call(ctx, "message_delete_many", messagesBody{queueBody: named(queue), Pop: n}, &result)
	return result.Messages, err
}
