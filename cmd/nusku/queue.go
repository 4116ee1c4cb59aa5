package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// queueCmd is `nusku queue`.
type queueCmd struct {
	Create queueCreateCmd `cmd:"" help:"Make a queue."`
	List   queueListCmd   `cmd:"" help:"List the project's queues."`
	Get    queueGetCmd    `cmd:"" help:"Print a queue's metadata."`
	Stats  queueStatsCmd  `cmd:"" help:"Count a queue's messages."`
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
	var metadata any
	if k.Metadata != "" {
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(k.Metadata), &object); err != nil {
			return usageError{fmt.Errorf("the metadata must be a JSON object: %w", err)}
		}
		metadata = json.RawMessage(k.Metadata)
	}
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		created, err := c.CreateQueue(ctx, k.Queue, metadata)
		if err != nil {
			return err
		}
		text := "Queue %s created."
		if !created {
			text = "Queue %s was there already; nothing was changed."
		}
		return out.say(map[string]any{"name": k.Queue, "created": created}, text, k.Queue)
	})
}

type queueListCmd struct {
	clientFlags
	Limit int `default:"0" placeholder:"N" help:"Stop after this many; 0 lists all."`
}

// Run lists the queues.
func (k *queueListCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		var queues []client.Queue
		page := client.QueuePage{Detailed: true}
		for {
			next, _, err := c.Queues(ctx, page)
			if err != nil {
				return err
			}
			queues = append(queues, next...)
			if k.Limit > 0 && len(queues) >= k.Limit {
				queues = queues[:k.Limit]
				break
			}
			if len(next) == 0 {
				break
			}
			page.Marker = next[len(next)-1].Name
		}
		return rows(out, "QUEUE METADATA", queues, func(q client.Queue) any { return q },
			func(q client.Queue) []string { return []string{q.Name, clip(q.Metadata, 80)} })
	})
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
			return fmt.Errorf("queue %s does not exist; `nusku queue list` shows those that do", k.Queue)
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
		return out.say(map[string]any{"name": k.Queue, "purged": true}, "Queue %s purged.", k.Queue)
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
			if err := out.say(map[string]any{"name": q, "deleted": true}, "Queue %s removed.", q); err != nil {
				return err
			}
		}
		return nil
	})
}
