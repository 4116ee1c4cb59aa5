package gateway

import (
	"errors"

	"github.com/nusku-messaging/nusku/protocol"
)

// A topic is a queue in a name space of its own (protocol.TopicPrefix), without claims: its actions are those of queues.
// Zaqar's own answers to most of them are faults of its own (503), so these follow what it answers for queues.

// kindOf is what clients call what a key names.
func kindOf(key protocol.QueueKey) string {
	if key.IsTopic() {
		return "Topic"
	}
	return "Queue"
}

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
	w.String(kindOf(c.queue()) + " " + c.queue().ShownName() + " created.")
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

// queueDelete handles queue_delete. Subscriptions stay; their subscribers are told by a gap frame.
func (g *Gateway) queueDelete(c *call) {
	err := g.backend.DeleteQueue(c.context(), c.key())
	if err != nil && !errors.Is(err, protocol.ErrNoQueue) {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(204, textDone(kindOf(c.queue())+" "+c.queue().ShownName()+" removed."))
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
