package gateway

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// deadDeliveryList handles dead_delivery_list.
func (g *Gateway) deadDeliveryList(c *call) {
	sub, err := g.namedSubscription(c)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	f := &c.req.Fields
	dead, err := g.backend.DeadDeliveries(c.context(), c.key(), sub.ID, f.DeliveryMarker, f.Limit)
	if err != nil {
		c.fail(g.wireError(c, subscriptionError(err)))
		return
	}
	c.answer(200, deadFound(dead))
}

// deadFound is a page of dead deliveries.
type deadFound []protocol.DeadDelivery

func (a deadFound) frame(w *protocol.Writer, _ *call) {
	w.BeginMap(1)
	a.write(w)
	w.EndMap()
}

func (a deadFound) resource(x *exchange) {
	marker := ""
	if len(a) > 0 {
		marker = deliveryID(a[len(a)-1].ID)
	}
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(2)
		a.write(w)
		x.links(w, marker)
		w.EndMap()
	})
}

func (a deadFound) write(w *protocol.Writer) {
	w.Key("dead_deliveries")
	w.BeginArray(len(a))
	for i := range a {
		writeDead(w, &a[i])
	}
	w.EndArray()
}

// deliveryID is the id of a dead delivery on the wire, where all ids are strings.
func deliveryID(id int64) string { return strconv.FormatInt(id, 10) }

func writeDead(w *protocol.Writer, d *protocol.DeadDelivery) {
	w.BeginMap(8)
	w.Key("id")
	w.String(deliveryID(d.ID))
	w.Key("message_id")
	w.MessageID(d.MessageID)
	w.Key("ttl")
	w.Int(int64(d.TTL))
	w.Key("attempts")
	w.Int(int64(d.Attempts))
	w.Key("reason")
	w.String(d.Reason)
	w.Key("failed_at")
	w.String(d.Failed.UTC().Format(time.RFC3339))
	w.Key("resend")
	w.Bool(d.Resend)
	w.Key("body")
	w.Raw(d.Codec, d.Body)
	w.EndMap()
}

// deadDeliveryResend handles dead_delivery_resend: the engine that holds the subscription takes it up.
func (g *Gateway) deadDeliveryResend(c *call) {
	if n, ok := g.changeDead(c, g.backend.ResendDeliveries); ok {
		c.answer(204, deadChanged(n))
	}
}

// deadDeliveryDelete handles dead_delivery_delete. Those that are gone already are not counted.
func (g *Gateway) deadDeliveryDelete(c *call) {
	if n, ok := g.changeDead(c, g.backend.DeleteDeliveries); ok {
		c.answer(204, deadChanged(n))
	}
}

// changeDead changes the dead deliveries that the call names, all if it names none. What goes wrong is answered: ok is
// then false.
func (g *Gateway) changeDead(c *call,
	change func(context.Context, protocol.QueueKey, uuid.UUID, []int64) (int64, error),
) (n int64, ok bool) {
	sub, err := g.namedSubscription(c)
	if err == nil {
		n, err = change(c.context(), c.key(), sub.ID, c.req.Fields.DeliveryIDs)
	}
	if err != nil {
		c.fail(g.wireError(c, subscriptionError(err)))
		return 0, false
	}
	return n, true
}

// deadChanged says how many dead deliveries an action was about.
type deadChanged int64

func (a deadChanged) frame(w *protocol.Writer, _ *call) {
	w.BeginMap(1)
	w.Key("count")
	w.Int(int64(a))
	w.EndMap()
}

func (deadChanged) resource(x *exchange) { x.empty(204) }
