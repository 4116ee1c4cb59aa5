package main

import (
	"context"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// topicCmd is `nusku topic`: the subcommands of queues under the name by which the client knows a topic.
type topicCmd struct {
	Create topicCreateCmd `cmd:"" help:"Make a topic."`
	List   topicListCmd   `cmd:"" help:"List the project's topics."`
	Get    topicGetCmd    `cmd:"" help:"Print a topic's metadata."`
	Update topicUpdateCmd `cmd:"" help:"Change a topic's metadata."`
	Stats  topicStatsCmd  `cmd:"" help:"Count a topic's messages."`
	Share  topicShareCmd  `cmd:"" help:"Let others use a topic for a while, by a signed URL."`
	Purge  topicPurgeCmd  `cmd:"" help:"Remove a topic's messages, its subscriptions, or both."`
	Delete topicDeleteCmd `cmd:"" help:"Remove a topic with everything in it."`
}

// Help is what --help says below the usage.
func (*topicCmd) Help() string {
	return "A topic is for subscribers: it has messages and subscriptions as a queue has, but nobody claims from it. " +
		"The other commands take topic:NAME where they want a queue.\n\nFor example:\n\n" +
		"nusku topic create news\n\nnusku subscribe topic:news\n\nnusku message post topic:news hello"
}

// topicArg is the topic that a subcommand is about.
type topicArg struct {
	Topic string `arg:"" help:"The topic's name."`
}

// name is what names the topic to the client.
func (a *topicArg) name() string { return client.Topic(a.Topic) }

type topicCreateCmd struct {
	clientFlags
	topicArg
	Metadata string `arg:"" optional:"" help:"A JSON object, like '{\"_default_message_ttl\": 300}'."`
}

// Run makes the topic.
func (k *topicCreateCmd) Run(g *globals) error {
	return (&queueCreateCmd{k.clientFlags, k.name(), k.Metadata}).Run(g)
}

type topicListCmd struct {
	clientFlags
	pageFlags
	Name string `placeholder:"TEXT" help:"Only those whose name contains this."`
}

// Run lists the topics.
func (k *topicListCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		return listQueues(ctx, out, "TOPIC METADATA", k.pageFlags, k.Name, c.Topics)
	})
}

type topicGetCmd struct {
	clientFlags
	topicArg
}

// Run prints the metadata.
func (k *topicGetCmd) Run(g *globals) error { return (&queueGetCmd{k.clientFlags, k.name()}).Run(g) }

type topicUpdateCmd struct {
	clientFlags
	updateFlags
	topicArg
}

// Help is what --help says below the usage.
func (*topicUpdateCmd) Help() string {
	return "All changes are made, or none.\n\nFor example:\n\nnusku topic update news --set _default_message_ttl=300 --remove size"
}

// Run changes the metadata and prints them.
func (k *topicUpdateCmd) Run(g *globals) error {
	return (&queueUpdateCmd{k.clientFlags, k.updateFlags, k.name()}).Run(g)
}

type topicStatsCmd struct {
	clientFlags
	topicArg
}

// Run prints the counts.
func (k *topicStatsCmd) Run(g *globals) error {
	return (&queueStatsCmd{k.clientFlags, k.name()}).Run(g)
}

type topicShareCmd struct {
	clientFlags
	shareFlags
	topicArg
}

// Help is what --help says below the usage.
func (*topicShareCmd) Help() string { return "See nusku queue share --help." }

// Run makes a signed URL.
func (k *topicShareCmd) Run(g *globals) error {
	return (&queueShareCmd{k.clientFlags, k.shareFlags, k.name()}).Run(g)
}

type topicPurgeCmd struct {
	clientFlags
	topicArg
	What []string `name:"what" enum:"messages,subscriptions" placeholder:"KIND" help:"messages or subscriptions; by default both."`
}

// Run empties the topic.
func (k *topicPurgeCmd) Run(g *globals) error {
	return (&queuePurgeCmd{k.clientFlags, k.name(), k.What}).Run(g)
}

type topicDeleteCmd struct {
	clientFlags
	Topics []string `arg:"" name:"topic" help:"The topics' names."`
}

// Run removes the topics.
func (k *topicDeleteCmd) Run(g *globals) error {
	names := make([]string, len(k.Topics))
	for i, topic := range k.Topics {
		names[i] = client.Topic(topic)
	}
	return (&queueDeleteCmd{k.clientFlags, names}).Run(g)
}
