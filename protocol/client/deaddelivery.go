package client

import (
	"context"
	"encoding/json"
	"time"
)

// DeadDelivery is a message that could not be delivered to a subscriber.
type DeadDelivery struct {
	// ID names it among the subscription's dead deliveries.
	ID string `json:"id"`
	// MessageID is the message's id in its queue, where it may be gone.
	MessageID string `json:"message_id"`
	// Body is JSON.
	Body json.RawMessage `json:"body"`
	// Attempts were made in vain; Reason is how the last one failed.
	Attempts int    `json:"attempts"`
	Reason   string `json:"reason"`
	// Failed is when it was given up.
	Failed time.Time `json:"failed_at"`
	// Resend says that it is to be sent again.
	Resend bool `json:"resend"`
}

type deadBody struct {
	queueBody
	Subscription string   `json:"subscription_id"`
	IDs          []string `json:"delivery_ids,omitempty"`
	Marker       string   `json:"marker,omitempty"`
	Limit        int      `json:"limit,omitempty"`
}

// DeadDeliveries lists what could not be delivered to a subscription, oldest first. marker is the id after which the
// page starts, limit its size; the zero values ask for the first page of the gateway's default size.
func (c *Client) DeadDeliveries(ctx context.Context, queue, subscription, marker string, limit int) ([]DeadDelivery, error) {
	var result struct {
		Deliveries []DeadDelivery `json:"dead_deliveries"`
	}
	body := deadBody{queueBody: named(queue), Subscription: subscription, Marker: marker, Limit: limit}
	_, err := c.call(ctx, "dead_delivery_list", body, &result)
	return result.Deliveries, err
}

// ResendDeliveries has dead deliveries sent again, those with the given ids or all if there are none, and returns how
// many these are. A missing subscription is an *Error of status 404.
func (c *Client) ResendDeliveries(ctx context.Context, queue, subscription string, ids ...string) (n int64, err error) {
	return c.changeDeliveries(ctx, "dead_delivery_resend", queue, subscription, ids)
}

// DeleteDeliveries forgets dead deliveries, those with the given ids or all if there are none, and returns how many these
// were. A missing subscription is an *Error of status 404.
func (c *Client) DeleteDeliveries(ctx context.Context, queue, subscription string, ids ...string) (n int64, err error) {
	return c.changeDeliveries(ctx, "dead_delivery_delete", queue, subscription, ids)
}

func (c *Client) changeDeliveries(ctx context.Context, action, queue, subscription string, ids []string) (int64, error) {
	var result struct {
		Count int64 `json:"count"`
	}
	_, err := c.call(ctx, action, deadBody{queueBody: named(queue), Subscription: subscription, IDs: ids}, &result)
	return result.Count, err
}
