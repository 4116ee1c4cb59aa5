package gateway

import "github.com/nusku-messaging/nusku/protocol"

// queueList handles queue_list.
func (g *Gateway) queueList(c *call) { g.listQueues(c, "queues") }

// topicList handles topic_list.
func (g *Gateway) topicList(c *call) { g.listQueues(c, "topics") }

// listQueues answers with a page of queues or of topics, as the collection says.
func (g *Gateway) listQueues(c *call, collection string) {
	f := &c.req.Fields
	page := protocol.QueuePage{
		Project: c.req.ProjectID, Topics: collection == "topics", Marker: f.Marker, Limit: f.Limit,
		Name: f.Name, Metadata: f.MetadataFilter,
	}
	if page.Topics && page.Marker != "" {
		page.Marker = protocol.TopicPrefix + page.Marker
	}
	a := &queuesFound{collection: collection}
	var err error
	a.queues, err = g.backend.Queues(c.context(), page)
	if err == nil && f.WithCount {
		a.count, err = g.backend.CountQueues(c.context(), page)
	}
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, a)
}

// queuesFound is a page of queues or of topics.
type queuesFound struct {
	collection string
	queues     []protocol.Queue
	count      int64
}

func (a *queuesFound) frame(w *protocol.Writer, c *call) {
	f := &c.req.Fields
	w.BeginMap(1 + countIf(f.WithCount))
	a.writeCount(w, f)
	a.write(w, f, func(q *protocol.Queue) []byte { return q.Metadata }, nil)
	w.EndMap()
}

func (a *queuesFound) resource(x *exchange) {
	f := &x.c.req.Fields
	marker := ""
	if n := len(a.queues); n > 0 {
		marker = a.queues[n-1].ShownName()
	}
	full := func(q *protocol.Queue) []byte { return protocol.AppendFullMetadata(nil, q.Metadata, &x.gw.cfg.Limits) }
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(2 + countIf(f.WithCount))
		a.write(w, f, full, func(name string) string { return x.href(a.collection, name) })
		x.links(w, marker)
		a.writeCount(w, f)
		w.EndMap()
	})
}

// write writes the queues, with their addresses if href is there.
func (a *queuesFound) write(w *protocol.Writer, f *protocol.Fields,
	metadata func(*protocol.Queue) []byte, href func(name string) string,
) {
	w.Key(a.collection)
	w.BeginArray(len(a.queues))
	for i := range a.queues {
		q := &a.queues[i]
		w.BeginMap(1 + countIf(f.Detailed) + countIf(href != nil))
		w.Key("name")
		w.String(q.ShownName())
		if f.Detailed {
			w.Key("metadata")
			w.RawJSON(metadata(q))
		}
		if href != nil {
			w.Key("href")
			w.String(href(q.ShownName()))
		}
		w.EndMap()
	}
	w.EndArray()
}

func (a *queuesFound) writeCount(w *protocol.Writer, f *protocol.Fields) {
	if f.WithCount {
		w.Key("count")
		w.Int(a.count)
	}
}

// countIf is the number of keys that there are more if so.
func countIf(so bool) int {
	if so {
		return 1
	}
	return 0
}
