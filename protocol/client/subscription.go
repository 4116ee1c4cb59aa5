package client

import (
	"context"
	"encoding/json"
	"time"
)

// StoredSubscription is a subscription as the gateway lists it: anybody's, to a socket or elsewhere.
type StoredSubscription struct {
	ID         string
	Queue      string
	Subscriber string
	TTL, Age   time.Duration
	// Options is a JSON object.
	Options   json.RawMessage
	Confirmed bool
}

// subscriptionJSON is a StoredSubscription on the wire.
type subscriptionJSON struct {
	ID         string          `json:"id"`
	Queue      string          `json:"source"`
	Subscriber string          `json:"subscriber"`
	TTL        seconds         `json:"ttl"`
	Age        seconds         `json:"age"`
	Options    json.RawMessage `json:"options"`
	Confirmed  bool            `json:"confirmed"`
}

// UnmarshalJSON decodes a subscription as the gateway sends it.
func (s *StoredSubscription) UnmarshalJSON(b []byte) error {
	var wire subscriptionJSON
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	*s = StoredSubscription{
		ID: wire.ID, Queue: wire.Queue, Subscriber: wire.Subscriber, TTL: wire.TTL.duration(), Age: wire.Age.duration(),
		Options: wire.Options, Confirmed: wire.Confirmed,
	}
	return nil
}

// MarshalJSON encodes s as the gateway does.
func (s StoredSubscription) MarshalJSON() ([]byte, error) {
	return encode(subscriptionJSON{
		ID: s.ID, Queue: s.Queue, Subscriber: s.Subscriber, TTL: inSeconds(s.TTL), Age: inSeconds(s.Age),
		Options: s.Options, Confirmed: s.Confirmed,
	})
}

// NewSubscription is a subscription to be stored.
type NewSubscription struct {
	// Subscriber is a URI (http, https, mailto) to which messages are delivered.
	Subscriber string
	// TTL is how long the subscription lives; the gateway's default if zero.
	TTL time.Duration
	// Options is encoded as a JSON object; nil for none.
	Options any
}

type subscriptionBody struct {
	queueBody
	ID         string  `json:"subscription_id,omitempty"`
	Subscriber string  `json:"subscriber,omitempty"`
	TTL        seconds `json:"ttl,omitempty"`
	Options    any     `json:"options,omitempty"`
	Marker     string  `json:"marker,omitempty"`
	Limit      int     `json:"limit,omitempty"`
}

// CreateSubscription stores a subscription that delivers elsewhere and returns its id. One that is there already is
// an *Error of status 409. For pushes to this client there is Subscribe.
func (c *Client) CreateSubscription(ctx context.Context, queue string, s NewSubscription) (id string, err error) {
	reply, err := c.Call(ctx, "subscription_create", subscriptionBody{
		queueBody: named(queue), Subscriber: s.Subscriber, TTL: inSeconds(s.TTL), Options: s.Options,
	})
	if err != nil {
		return "", err
	}
	return subscriptionID(reply), nil
}

// subscriptionID reads the id out of a reply to subscription_create.
func subscriptionID(reply *Reply) string {
	var body struct {
		ID string `json:"subscription_id"`
	}
	_ = json.Unmarshal(reply.Body, &body) // without an id the subscription can only end with the session
	return body.ID
}

// Subscriptions lists a queue's subscriptions. marker is the id after which the page starts, limit its size; the
// zero values ask for the first page of the gateway's default size.
func (c *Client) Subscriptions(ctx context.Context, queue, marker string, limit int) ([]StoredSubscription, error) {
	var result struct {
		Subscriptions []StoredSubscription `json:"subscriptions"`
	}
	body := subscriptionBody{queueBody: named(queue), Marker: marker, Limit: limit}
	_, err := c.call(ctx, "subscription_list", body, &result)
	return result.Subscriptions, err
}

// Subscription returns one subscription. A missing one is an *Error of status 404.
func (c *Client) Subscription(ctx context.Context, queue, id string) (*StoredSubscription, error) {
	var result StoredSubscription
	if _, err := c.call(ctx, "subscription_get", subscriptionBody{queueBody: named(queue), ID: id}, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// DeleteSubscription ends a subscription. It is no error if there is none.
func (c *Client) DeleteSubscription(ctx context.Context, queue, id string) error {
	_, err := c.Call(ctx, "subscription_delete", subscriptionBody{queueBody: named(queue), ID: id})
	return err
}

// SubscriptionChange is what UpdateSubscription changes. Zero values leave what they stand for as it is.
type SubscriptionChange struct {
	// Subscriber is a URI, as in NewSubscription.
	Subscriber string
	// TTL is how long the subscription lives from now on.
	TTL time.Duration
	// Options is encoded as a JSON object and replaces the old ones.
	Options any
}

// UpdateSubscription changes a subscription. A missing one is an *Error of status 404; status 409 says that another
// subscription to the queue has that subscriber.
func (c *Client) UpdateSubscription(ctx context.Context, queue, id string, change SubscriptionChange) error {
	_, err := c.Call(ctx, "subscription_update", subscriptionBody{
		queueBody: named(queue), ID: id, Subscriber: change.Subscriber, TTL: inSeconds(change.TTL), Options: change.Options,
	})
	return err
}

// ConfirmSubscription notes that the subscriber wants the queue's messages, or not. A missing subscription is an *Error
// of status 404.
func (c *Client) ConfirmSubscription(ctx context.Context, queue, id string, confirmed bool) error {
	_, err := c.Call(ctx, "subscription_confirm", struct {
		subscriptionBody
		Confirmed bool `json:"confirmed"`
	}{subscriptionBody{queueBody: named(queue), ID: id}, confirmed})
	return err
}

// SubscriptionSecrets returns the secrets that sign what is sent to a webhook, the newest first, as Standard Webhooks has
// them (whsec_…). With rotate a new one is made first; the one before it is used beside it for a day. A missing
// subscription is an *Error of status 404.
func (c *Client) SubscriptionSecrets(ctx context.Context, queue, id string, rotate bool) ([]string, error) {
	var result struct {
		Secrets []string `json:"secrets"`
	}
	_, err := c.call(ctx, "subscription_secret", struct {
		subscriptionBody
		Rotate bool `json:"rotate,omitempty"`
	}{subscriptionBody{queueBody: named(queue), ID: id}, rotate}, &result)
	return result.Secrets, err
}
