package client

import (
	"context"
	"strings"

	"github.com/nusku-messaging/nusku/protocol"
)

// Topic returns what names a topic wherever a method wants the name of a queue: topics have messages and subscriptions
// as queues have, in a name space of their own, but no claims.
func Topic(name string) string { return protocol.TopicPrefix + name }

// queueBody names the queue or the topic that a request is about.
type queueBody struct {
	Queue string `json:"queue_name,omitempty"`
	Topic string `json:"topic_name,omitempty"`
}

// named is the body that names a queue, or one of Topic's names.
func named(queue string) queueBody {
	if topic, ok := strings.CutPrefix(queue, protocol.TopicPrefix); ok {
		return queueBody{Topic: topic}
	}
	return queueBody{Queue: queue}
}

// shown is the name by which the gateway calls the queue or topic in what it pushes.
func shown(queue string) string { return strings.TrimPrefix(queue, protocol.TopicPrefix) }

// queueAction is the action that does to a queue, or to a topic, what verb says.
func queueAction(queue, verb string) string {
	if strings.HasPrefix(queue, protocol.TopicPrefix) {
		return "topic_" + verb
	}
	return "queue_" + verb
}

// Topics is Queues for the project's topics. The names in it, and the page's marker, are without the prefix that Topic
// puts before them.
func (c *Client) Topics(ctx context.Context, page QueuePage) (topics []Queue, count int, err error) {
	var result struct {
		Topics []Queue `json:"topics"`
		Count  int     `json:"count"`
	}
	_, err = c.call(ctx, "topic_list", page, &result)
	return result.Topics, result.Count, err
}
