package client

import (
	"context"
	"encoding/json"
)

// Queue is an entry of a list of queues.
type Queue struct {
	Name string `json:"name"`
	// Metadata is a JSON object; nil unless the list was asked for it.
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// QueuePage asks for a page of a list of queues.
type QueuePage struct {
	// Marker is the name after which the page starts.
	Marker string `json:"marker,omitempty"`
	// Limit is the size of the page; the gateway's default if zero.
	Limit int `json:"limit,omitempty"`
	// Detailed asks for the metadata, WithCount for the number of all queues that the filters keep.
	Detailed  bool `json:"detailed,omitempty"`
	WithCount bool `json:"with_count,omitempty"`
	// Name keeps the queues whose name contains it; "" keeps all.
	Name string `json:"name,omitempty"`
}

// QueueStats counts a queue's messages.
type QueueStats struct {
	Claimed int64 `json:"claimed"`
	Free    int64 `json:"free"`
	// Delayed are part of Total but not of Free.
	Delayed int64 `json:"delayed"`
	Total   int64 `json:"total"`
	// Oldest and Newest are nil when the queue is empty.
	Oldest *Message `json:"oldest,omitempty"`
	Newest *Message `json:"newest,omitempty"`
}

// CreateQueue makes a queue; false means that it was there already, and nothing was changed. metadata is encoded as a
// JSON object, nil for none. (Posting or subscribing makes a missing queue, too.)
func (c *Client) CreateQueue(ctx context.Context, queue string, metadata any) (created bool, err error) {
	reply, err := c.Call(ctx, queueAction(queue, "create"), struct {
		queueBody
		Metadata any `json:"metadata,omitempty"`
	}{named(queue), metadata})
	return err == nil && reply.Status == 201, err
}

// Queue returns a queue's metadata, a JSON object; that of a missing queue is {}.
func (c *Client) Queue(ctx context.Context, queue string) (json.RawMessage, error) {
	reply, err := c.Call(ctx, queueAction(queue, "get"), named(queue))
	if err != nil {
		return nil, err
	}
	return reply.Body, nil
}

// Queues lists the project's queues in the order of their names. count is the number of all queues if the page asks
// for it, else 0.
func (c *Client) Queues(ctx context.Context, page QueuePage) (queues []Queue, count int, err error) {
	var result struct {
		Queues []Queue `json:"queues"`
		Count  int     `json:"count"`
	}
	_, err = c.call(ctx, "queue_list", page, &result)
	return result.Queues, result.Count, err
}

// DeleteQueue removes a queue with its messages and claims. It is no error if there is none.
func (c *Client) DeleteQueue(ctx context.Context, queue string) error {
	_, err := c.Call(ctx, queueAction(queue, "delete"), named(queue))
	return err
}

// QueueStats counts a queue's messages. A missing queue is an *Error of status 404.
func (c *Client) QueueStats(ctx context.Context, queue string) (*QueueStats, error) {
	var result struct {
		Messages QueueStats `json:"messages"`
	}
	if _, err := c.call(ctx, queueAction(queue, "get_stats"), named(queue), &result); err != nil {
		return nil, err
	}
	return &result.Messages, nil
}

// PatchOp is one change to a queue's metadata.
type PatchOp struct {
	// Op is "add", "replace" or "remove".
	Op string `json:"op"`
	// Path is /metadata/ and the attribute's name.
	Path string `json:"path"`
	// Value is encoded as JSON; nil for "remove". (For null there is json.RawMessage("null").)
	Value any `json:"value,omitempty"`
}

// UpdateQueue changes a queue's metadata, all changes or none, and returns them as they are then. A missing queue is an
// *Error of status 404; one of status 409 tells of an attribute that is not there to be replaced or removed.
func (c *Client) UpdateQueue(ctx context.Context, queue string, changes ...PatchOp) (metadata json.RawMessage, err error) {
	reply, err := c.Call(ctx, queueAction(queue, "update"), struct {
		queueBody
		Patch []PatchOp `json:"patch"`
	}{named(queue), changes})
	if err != nil {
		return nil, err
	}
	return reply.Body, nil
}

// PurgeQueue removes a queue's resources of the given types ("messages", "subscriptions"), all of them if none is
// given, and leaves the queue.
func (c *Client) PurgeQueue(ctx context.Context, queue string, resourceTypes ...string) error {
	_, err := c.Call(ctx, queueAction(queue, "purge"), struct {
		queueBody
		ResourceTypes []string `json:"resource_types,omitempty"`
	}{named(queue), resourceTypes})
	return err
}
