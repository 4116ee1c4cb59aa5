package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// queueCmd is `nusku queue`.
type queueCmd struct {
	Create queueCreateCmd `cmd:"" help:"Make a queue."`
	List   queueListCmd   `cmd:"" help:"List the project's queues."`
	Get    queueGetCmd    `cmd:"" help:"Print a queue's metadata."`
	Update queueUpdateCmd `cmd:"" help:"Change a queue's metadata."`
	Stats  queueStatsCmd  `cmd:"" help:"Count a queue's messages."`
	Share  queueShareCmd  `cmd:"" help:"Let others use a queue for a while, by a signed URL."`
	Purge  queuePurgeCmd  `cmd:"" help:"Remove a queue's messages, its subscriptions, or both."`
	Delete queueDeleteCmd `cmd:"" help:"Remove a queue with everything in it."`
}

type queueCreateCmd struct {
	clientFlags
	Queue    string `arg:"" help:"The queue's name."`
	Metadata string `arg:"" optional:"" help:"A JSON object, like '{\"_default_message_ttl\": 300}'."`
}

// Run makes the queue.
func (k *queueCreateCmd) Run(g *globals) error {
	metadata, err := jsonObject("the metadata", k.Metadata)
	if err != nil {
		return err
	}
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		created, err := c.CreateQueue(ctx, k.Queue, metadata)
		if err != nil {
			return err
		}
		text := "%s created."
		if !created {
			text = "%s was there already; nothing was changed."
		}
		return out.say(map[string]any{"name": shownName(k.Queue), "created": created}, text, titled(k.Queue))
	})
}

// jsonObject is text as a JSON object, nil if it is empty. what names it in the error.
func jsonObject(what, text string) (any, error) {
	if text == "" {
		return nil, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return nil, usageError{fmt.Errorf("%s must be a JSON object: %w", what, err)}
	}
	return json.RawMessage(text), nil
}

// shownName is the name of a queue, or of a topic, without what tells the two apart.
func shownName(queue string) string { return strings.TrimPrefix(queue, client.Topic("")) }

// titled is how people are told of a queue or a topic.
func titled(queue string) string {
	if topic, ok := strings.CutPrefix(queue, client.Topic("")); ok {
		return "Topic " + topic
	}
	return "Queue " + queue
}

type queueListCmd struct {
	clientFlags
	pageFlags
	Name string `placeholder:"TEXT" help:"Only those whose name contains this."`
}

// Run lists the queues.
func (k *queueListCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		return listQueues(ctx, out, "QUEUE METADATA", k.pageFlags, k.Name, c.Queues)
	})
}

// listQueues prints what list lists: queues or topics.
func listQueues(ctx context.Context, out *output, header string, flags pageFlags, name string,
	list func(context.Context, client.QueuePage) ([]client.Queue, int, error),
) error {
	queues, err := allPages(ctx, flags, func(q client.Queue) string { return q.Name },
		func(ctx context.Context, marker string, limit int) ([]client.Queue, error) {
			page, _, err := list(ctx, client.QueuePage{Marker: marker, Limit: limit, Detailed: true, Name: name})
			return page, err
		})
	if err != nil {
		return err
	}
	return rows(out, header, queues, func(q client.Queue) any { return q },
		func(q client.Queue) []string { return []string{q.Name, clip(q.Metadata, 80)} })
}

type queueGetCmd struct {
	clientFlags
	Queue string `arg:"" help:"The queue's name."`
}

// Run prints the metadata.
func (k *queueGetCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		metadata, err := c.Queue(ctx, k.Queue)
		if err != nil {
			return err
		}
		return out.object(metadata)
	})
}

type queueStatsCmd struct {
	clientFlags
	Queue string `arg:"" help:"The queue's name."`
}

// Run prints the counts.
func (k *queueStatsCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		stats, err := c.QueueStats(ctx, k.Queue)
		if client.Status(err) == 404 {
			return missingQueue(k.Queue)
		}
		if err != nil {
			return err
		}
		return rows(out, "FREE CLAIMED DELAYED TOTAL OLDEST NEWEST", []*client.QueueStats{stats},
			func(s *client.QueueStats) any { return s },
			func(s *client.QueueStats) []string {
				return []string{count(s.Free), count(s.Claimed), count(s.Delayed), count(s.Total), age(s.Oldest), age(s.Newest)}
			})
	})
}

// missingQueue explains a missing queue or topic.
func missingQueue(queue string) error {
	name := titled(queue)
	kind, _, _ := strings.Cut(strings.ToLower(name), " ")
	return fmt.Errorf("%s does not exist; `nusku %s list` shows those that do", strings.ToLower(name[:1])+name[1:], kind)
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

// age is how old a message is, - if there is none.
func age(m *client.Message) string {
	if m == nil {
		return "-"
	}
	return seconds(m.Age) + " ago"
}

type queuePurgeCmd struct {
	clientFlags
	Queue string   `arg:"" help:"The queue's name."`
	What  []string `name:"what" enum:"messages,subscriptions" placeholder:"KIND" help:"messages or subscriptions; by default both."`
}

// Run empties the queue.
func (k *queuePurgeCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		if err := c.PurgeQueue(ctx, k.Queue, k.What...); err != nil {
			return err
		}
		return out.say(map[string]any{"name": shownName(k.Queue), "purged": true}, "%s purged.", titled(k.Queue))
	})
}

type queueDeleteCmd struct {
	clientFlags
	Queues []string `arg:"" name:"queue" help:"The queues' names."`
}

// Run removes the queues.
func (k *queueDeleteCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		for _, q := range k.Queues {
			if err := c.DeleteQueue(ctx, q); err != nil {
				return err
			}
			if err := out.say(map[string]any{"name": shownName(q), "deleted": true}, "%s removed.", titled(q)); err != nil {
				return err
			}
		}
		return nil
	})
}
