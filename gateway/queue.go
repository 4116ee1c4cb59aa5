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
	c.reply(status, textBody("Queue "+c.key().Name+" created."))
}

// queueGet handles queue_get. A missing queue has no metadata, as on Zaqar.
func (g *Gateway) queueGet(c *call) {
	q, err := g.backend.Queue(c.context(), c.key())
	switch {
	case errors.Is(err, protocol.ErrNoQueue):
		c.reply(200, emptyBody)
	case err != nil:
		c.fail(g.wireError(c, err))
	default:
		c.reply(200, func(w *protocol.Writer) { w.RawJSON(q.Metadata) })
	}
}

// queueList handles queue_list.
func (g *Gateway) queueList(c *call) {
	f := &c.req.Fields
	queues, err := g.backend.Queues(c.context(), c.req.ProjectID, f.Marker, f.Limit)
	keys, count := 1, int64(0)
	if err == nil && f.WithCount {
		keys++
		count, err = g.backend.CountQueues(c.context(), c.req.ProjectID)
	}
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.reply(200, func(w *protocol.Writer) {
		w.BeginMap(keys)
		if f.WithCount {
			w.Key("count")
			w.Int(count)
		}
		w.Key("queues")
		w.BeginArray(len(queues))
		for i := range queues {
			writeQueue(w, &queues[i], f.Detailed)
		}
		w.EndArray()
		w.EndMap()
	})
}

func writeQueue(w *protocol.Writer, q *protocol.Queue, detailed bool) {
	if !detailed {
		w.BeginMap(1)
		w.Key("name")
		w.String(q.Name)
		w.EndMap()
		return
	}
	w.BeginMap(2)
	w.Key("name")
	w.String(q.Name)
	w.Key("metadata")
	w.RawJSON(q.Metadata)
	w.EndMap()
}

// queueDelete handles queue_delete. Subscriptions stay; their subscribers are told by a gap frame.
func (g *Gateway) queueDelete(c *call) {
	err := g.backend.DeleteQueue(c.context(), c.key())
	if err != nil && !errors.Is(err, protocol.ErrNoQueue) {
		c.fail(g.wireError(c, err))
		return
	}
	c.reply(204, textBody("Queue "+c.key().Name+" removed."))
}

// queueStats handles queue_get_stats. A missing queue is told with counts of zero, as on Zaqar.
func (g *Gateway) queueStats(c *call) {
	stats, err := g.backend.QueueStats(c.context(), c.key())
	switch {
	case errors.Is(err, protocol.ErrNoQueue):
		c.reply(404, func(w *protocol.Writer) { g.writeStats(w, &protocol.QueueStats{}, c.extended()) })
	case err != nil:
		c.fail(g.wireError(c, err))
	default:
		c.reply(200, func(w *protocol.Writer) { g.writeStats(w, &stats, c.extended()) })
	}
}

// statsCount is one number of a queue's statistics.
type statsCount struct {
	key string
	n   int64
}

// writeStats writes the body of a queue's statistics. To Zaqar's clients delayed messages are free ones, which is what
// they know; the others are told of them apart.
func (g *Gateway) writeStats(w *protocol.Writer, s *protocol.QueueStats, extended bool) {
	counts := []statsCount{{"claimed", s.Claimed}, {"free", s.Free + s.Delayed}, {"total", s.Total}}
	if extended {
		counts = []statsCount{{"claimed", s.Claimed}, {"delayed", s.Delayed}, {"free", s.Free}, {"total", s.Total}}
	}
	n := len(counts)
	bounds := s.Oldest != nil && s.Newest != nil
	if bounds {
		n += 2
	}
	w.BeginMap(1)
	w.Key("messages")
	w.BeginMap(n)
	for _, count := range counts {
		w.Key(count.key)
		w.Int(count.n)
	}
	if bounds {
		w.Key("newest")
		g.writeWholeMessage(w, s.Newest, true, extended)
		w.Key("oldest")
		g.writeWholeMessage(w, s.Oldest, true, extended)
	}
	w.EndMap()
	w.EndMap()
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
	c.reply(204, emptyBody)
}

// emptyBody writes {}.
func emptyBody(w *protocol.Writer) {
	w.BeginMap(0)
	w.EndMap()
}

// textBody writes a text.
func textBody(text string) func(*protocol.Writer) {
	return func(w *protocol.Writer) { w.String(text) }
}
