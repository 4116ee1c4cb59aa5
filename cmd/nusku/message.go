package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// messageCmd is `nusku message`.
type messageCmd struct {
	Post   messagePostCmd   `cmd:"" help:"Post messages to a queue, which is made if it is missing."`
	List   messageListCmd   `cmd:"" help:"List a queue's messages without claiming them."`
	Get    messageGetCmd    `cmd:"" help:"Print messages by id."`
	Delete messageDeleteCmd `cmd:"" help:"Remove messages by id."`
	Pop    messagePopCmd    `cmd:"" help:"Take messages out of a queue, oldest first."`
}

type messagePostCmd struct {
	clientFlags
	Queue  string   `arg:"" help:"The queue's name."`
	Bodies []string `arg:"" name:"body" optional:"" help:"The messages' bodies."`
	Text   bool     `help:"Send every body as a string."`
	Lines  bool     `help:"Post each line of standard input as a message."`
	TTL    timeSpan `name:"ttl" placeholder:"TIME" help:"How long the messages live; by default as the queue says."`
	Delay  timeSpan `placeholder:"TIME" help:"How long nobody sees them."`

	stdin io.Reader // os.Stdin but in tests
}

// Help is what --help says below the usage.
func (*messagePostCmd) Help() string { return bodyHelp }

// The bounds of one post when many messages are posted: well below what a gateway accepts.
const (
	postMessages = 200
	postBytes    = 128 << 10
)

// Run posts the messages, in as few posts as fit.
func (k *messagePostCmd) Run(g *globals) error {
	if k.stdin == nil {
		k.stdin = os.Stdin
	}
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		var batch []client.NewMessage
		size := 0
		flush := func() error {
			if len(batch) == 0 {
				return nil
			}
			ids, err := c.Post(ctx, k.Queue, batch...)
			batch, size = batch[:0], 0
			if err != nil {
				return err
			}
			return rows(out, "MESSAGE", ids, func(id string) any { return map[string]string{"id": id} },
				func(id string) []string { return []string{id} })
		}
		err := eachBody(k.Bodies, k.Lines, k.Text, k.stdin, func(b json.RawMessage) error {
			if len(batch) > 0 && (len(batch) == postMessages || size+len(b) > postBytes) {
				if err := flush(); err != nil {
					return err
				}
			}
			batch = append(batch, client.NewMessage{Body: b, TTL: k.TTL.duration(), Delay: k.Delay.duration()})
			size += len(b)
			return nil
		})
		if err != nil {
			return err
		}
		return flush()
	})
}

type messageListCmd struct {
	clientFlags
	Queue   string `arg:"" help:"The queue's name."`
	Limit   int    `default:"20" placeholder:"N" help:"Stop after this many; 0 lists all."`
	Marker  string `placeholder:"ID" help:"Start behind this message."`
	Others  bool   `help:"Leave out what you have posted yourself."`
	Claimed bool   `help:"Include messages that are claimed."`
	Delayed bool   `help:"Include messages that are not due yet."`

	Wait timeSpan `placeholder:"TIME" help:"How long to wait for a message when there is none; --timeout counts from then on."`
}

// Run lists the messages, page by page.
func (k *messageListCmd) Run(g *globals) error {
	k.Timeout += k.Wait
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		page := client.MessagePage{
			Marker: k.Marker, Echo: !k.Others, IncludeClaimed: k.Claimed, IncludeDelayed: k.Delayed, Wait: k.Wait.duration(),
		}
		var all []client.Message
		for k.Limit == 0 || len(all) < k.Limit {
			next, err := c.Messages(ctx, k.Queue, page)
			if err != nil {
				return err
			}
			if len(next) == 0 {
				break
			}
			all = append(all, next...)
			page.Marker, page.Wait = next[len(next)-1].ID, 0 // what there is is listed at once
		}
		if k.Limit > 0 && len(all) > k.Limit {
			all = all[:k.Limit]
		}
		return printMessages(out, all)
	})
}

// printMessages prints messages in columns, their bodies cut short, or whole for scripts.
func printMessages(out *output, messages []client.Message) error {
	return rows(out, "MESSAGE AGE TTL BODY", messages, func(m client.Message) any { return m },
		func(m client.Message) []string {
			return []string{m.ID, seconds(m.Age), seconds(m.TTL), clip(m.Body, 100)}
		})
}

type messageGetCmd struct {
	clientFlags
	Queue string   `arg:"" help:"The queue's name."`
	IDs   []string `arg:"" name:"id" help:"The messages' ids."`
}

// Run prints the messages.
func (k *messageGetCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		for _, id := range k.IDs {
			m, err := c.Message(ctx, k.Queue, id)
			if client.Status(err) == 404 {
				return fmt.Errorf("queue %s has no message %s", k.Queue, id)
			}
			if err != nil {
				return err
			}
			if err := out.say(m, "%s", m.Body); err != nil {
				return err
			}
		}
		return nil
	})
}

type messageDeleteCmd struct {
	clientFlags
	Queue string   `arg:"" help:"The queue's name."`
	IDs   []string `arg:"" name:"id" help:"The messages' ids."`
	Claim string   `aliases:"claim-id" placeholder:"ID" help:"The claim that holds the messages, if one does."`
}

// Run removes the messages.
func (k *messageDeleteCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		for _, id := range k.IDs {
			err := c.DeleteMessage(ctx, k.Queue, id, k.Claim)
			if client.Status(err) == 403 && k.Claim == "" {
				return fmt.Errorf("message %s is claimed: say by which claim with --claim, or wait until the claim ends", id)
			}
			if err != nil {
				return err
			}
			if err := out.say(map[string]any{"id": id, "deleted": true}, "Message %s removed.", id); err != nil {
				return err
			}
		}
		return nil
	})
}

type messagePopCmd struct {
	clientFlags
	Queue string `arg:"" help:"The queue's name."`
	Limit int    `default:"1" placeholder:"N" help:"How many at most."`
}

// Run takes messages out of the queue.
func (k *messagePopCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		popped, err := c.Pop(ctx, k.Queue, k.Limit)
		if err != nil {
			return err
		}
		return printMessages(out, popped)
	})
}
