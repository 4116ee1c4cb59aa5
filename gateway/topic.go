package gateway

import (
	"errors"

	"github.com/nusku-messaging/nusku/protocol"
)

// A topic is a queue in a name space of its own (protocol.TopicPrefix), without claims. What is below are the actions
// whose answers name what they are about; the others are those of queues. Zaqar's own answers to most of these are
// faults of its own (503), so these follow what it answers for queues.

// topicCreate handles topic_create.
func (g *Gateway) topicCreate(c *call) {
	created, err := g.backend.CreateQueue(c.context(), c.key(), c.req.Fields.Metadata)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	status := 204
	if created {
		status = 201
	}
	c.answer(status, topicCreated{queueCreated{status}})
}

// topicCreated is queueCreated with a topic's words.
type topicCreated struct{ queueCreated }

func (topicCreated) frame(w *protocol.Writer, c *call) {
	w.String("Topic " + c.queue().ShownName() + " created.")
}

// topicDelete handles topic_delete.
func (g *Gateway) topicDelete(c *call) {
	err := g.backend.DeleteQueue(c.context(), c.key())
	if err != nil && !errors.Is(err, protocol.ErrNoQueue) {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(204, textDone("Topic "+c.queue().ShownName()+" removed."))
}

// topicList handles topic_list.
func (g *Gateway) topicList(c *call) {
	f := &c.req.Fields
	page := protocol.QueuePage{
		Project: c.req.ProjectID, Topics: true, Limit: f.Limit, Name: f.Name, Metadata: f.MetadataFilter,
	}
	if f.Marker != "" {
		page.Marker = protocol.TopicPrefix + f.Marker
	}
	a := new(topicsFound)
	var err error
	a.topics, err = g.backend.Queues(c.context(), page)
	if err == nil && f.WithCount {
		a.count, err = g.backend.CountQueues(c.context(), page)
	}
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, a)
}

// topicsFound is a page of topics.
type topicsFound struct {
	topics []protocol.Queue
	count  int64
}

func (a *topicsFound) frame(w *protocol.Writer, c *call) {
	w.BeginMap(1 + countIf(c.req.Fields.WithCount))
	a.writeCount(w, &c.req.Fields)
	a.write(w, &c.req.Fields, func(q *protocol.Queue) []byte { return q.Metadata }, nil)
	w.EndMap()
}

func (a *topicsFound) resource(x *exchange) {
	f := &x.c.req.Fields
	marker := ""
	if n := len(a.topics); n > 0 {
		marker = a.topics[n-1].ShownName()
	}
	full := func(q *protocol.Queue) []byte { return protocol.AppendFullMetadata(nil, q.Metadata, &x.gw.cfg.Limits) }
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(2 + countIf(f.WithCount))
		a.write(w, f, full, func(name string) string { return x.href("topics", name) })
		x.links(w, marker)
		a.writeCount(w, f)
		w.EndMap()
	})
}

// write writes the topics, with their addresses if href is there.
func (a *topicsFound) write(w *protocol.Writer, f *protocol.Fields,
	metadata func(*protocol.Queue) []byte, href func(name string) string,
) {
	w.Key("topics")
	w.BeginArray(len(a.topics))
	for i := range a.topics {
		t := &a.topics[i]
		w.BeginMap(1 + countIf(f.Detailed) + countIf(href != nil))
		w.Key("name")
		w.String(t.ShownName())
		if f.Detailed {
			w.Key("metadata")
			w.RawJSON(metadata(t))
		}
		if href != nil {
			w.Key("href")
			w.String(href(t.ShownName()))
		}
		w.EndMap()
	}
	w.EndArray()
}

func (a *topicsFound) writeCount(w *protocol.Writer, f *protocol.Fields) {
	if f.WithCount {
		w.Key("count")
		w.Int(a.count)
	}
}
