package gateway

import (
	"errors"

	"github.com/nusku-messaging/nusku/protocol"
)

// queueCreate handles queue_create. An existing queue stays as it is: 204.
func (g *Gateway) queueCreate(c *call) {
	created, err := g.backend.CreateQueue(c.context(), c.key(), c.req.Fields.Metadata)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	status := 204
	if created {
		status = 201
	}
	c.answer(status, queueCreated{status})
}

type queueCreated struct{ status int }

func (queueCreated) frame(w *protocol.Writer, c *call) {
	w.String("Queue " + c.queue().ShownName() + " created.")
}

func (a queueCreated) resource(x *exchange) {
	x.header("Location", x.path())
	x.empty(a.status)
}

// queueGet handles queue_get. A missing queue has no metadata, as on Zaqar.
func (g *Gateway) queueGet(c *call) {
	q, err := g.backend.Queue(c.context(), c.key())
	switch {
	case errors.Is(err, protocol.ErrNoQueue):
		c.answer(200, queueFound{emptyObject})
	case err != nil:
		c.fail(g.wireError(c, err))
	default:
		c.answer(200, queueFound{q.Metadata})
	}
}

// emptyObject is the metadata of a queue that has none.
var emptyObject = []byte("{}")

// queueFound is a queue's metadata. REST adds what holds for the reserved attributes that are not set.
type queueFound struct{ metadata []byte }

func (a queueFound) frame(w *protocol.Writer, _ *call) { w.RawJSON(a.metadata) }

func (a queueFound) resource(x *exchange) { x.metadata(a.metadata) }

// queueList handles queue_list.
func (g *Gateway) queueList(c *call) {
	f := &c.req.Fields
	page := protocol.QueuePage{
		Project: c.req.ProjectID, Marker: f.Marker, Limit: f.Limit, Name: f.Name, Metadata: f.MetadataFilter,
	}
	a := new(queuesFound)
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

// queuesFound is a page of queues.
type queuesFound struct {
	queues []protocol.Queue
	count  int64
}

func (a *queuesFound) frame(w *protocol.Writer, c *call) {
	f := &c.req.Fields
	w.BeginMap(1 + countIf(f.WithCount))
	a.writeCount(w, f)
	w.Key("queues")
	w.BeginArray(len(a.queues))
	for i := range a.queues {
		q := &a.queues[i]
		w.BeginMap(1 + countIf(f.Detailed))
		w.Key("name")
		w.String(q.Name)
		if f.Detailed {
			w.Key("metadata")
			w.RawJSON(q.Metadata)
		}
		w.EndMap()
	}
	w.EndArray()
	w.EndMap()
}

func (a *queuesFound) resource(x *exchange) {
	f := &x.c.req.Fields
	marker := ""
	if n := len(a.queues); n > 0 {
		marker = a.queues[n-1].Name
	}
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(2 + countIf(f.WithCount))
		w.Key("queues")
		w.BeginArray(len(a.queues))
		for i := range a.queues {
			q := &a.queues[i]
			w.BeginMap(2 + countIf(f.Detailed))
			w.Key("name")
			w.String(q.Name)
			if f.Detailed {
				w.Key("metadata")
				w.RawJSON(protocol.AppendFullMetadata(nil, q.Metadata, &x.gw.cfg.Limits))
			}
			w.Key("href")
			w.String(x.href("queues", q.Name))
			w.EndMap()
		}
		w.EndArray()
		x.links(w, marker)
		a.writeCount(w, f)
		w.EndMap()
	})
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

// queueDelete handles queue_delete. Subscriptions stay; their subscribers are told by a gap frame.
func (g *Gateway) queueDelete(c *call) {
	err := g.backend.DeleteQueue(c.context(), c.key())
	if err != nil && !errors.Is(err, protocol.ErrNoQueue) {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(204, textDone("Queue "+c.queue().ShownName()+" removed."))
}

// queueStats handles queue_get_stats. A missing queue is told with counts of zero, as on Zaqar: 404 in a frame, 200 over
// REST.
func (g *Gateway) queueStats(c *call) {
	stats, err := g.backend.QueueStats(c.context(), c.key())
	switch {
	case errors.Is(err, protocol.ErrNoQueue):
		c.answer(404, &statsFound{})
	case err != nil:
		c.fail(g.wireError(c, err))
	default:
		c.answer(200, &statsFound{stats})
	}
}

// queuePurge handles queue_purge. A missing queue has nothing to purge.
func (g *Gateway) queuePurge(c *call) {
	messages, subscriptions := c.req.Fields.Purges()
	err := g.backend.PurgeQueue(c.context(), c.key(), messages, subscriptions)
	if err != nil && !errors.Is(err, protocol.ErrNoQueue) {
		c.fail(g.wireError(c, err))
		return
	}
	if subscriptions && err == nil {
		g.hub.dropQueue(c.key())
	}
	c.answer(204, done{})
}

// done is an answer that says nothing more.
type done struct{}

func (done) frame(w *protocol.Writer, _ *call) {
	w.BeginMap(0)
	w.EndMap()
}

func (done) resource(x *exchange) { x.empty(204) }

// textDone is done, with a text in a frame.
type textDone string

func (a textDone) frame(w *protocol.Writer, _ *call) { w.String(string(a)) }
func (a textDone) resource(x *exchange)              { x.empty(204) }
