package gateway

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// isMissing says that what was to be deleted is not there.
func isMissing(err error) bool {
	return errors.Is(err, protocol.ErrNoQueue) || errors.Is(err, protocol.ErrNoClaim) ||
		errors.Is(err, protocol.ErrNoSubscription)
}

// subscriptionCreate handles subscription_create. Without a subscriber, the session's socket is it.
func (g *Gateway) subscriptionCreate(c *call) {
	f := &c.req.Fields
	sub := &protocol.Subscription{
		ID: uuid.New(), Queue: c.key(), Subscriber: f.Subscriber, TTL: f.TTL, Options: f.Options,
	}
	if sub.Options == nil {
		sub.Options = []byte("{}")
	}
	if sub.Subscriber == "" {
		g.subscribeSocket(c, sub)
		return
	}
	if err := g.backend.CreateSubscription(c.context(), sub); err != nil {
		g.refuseSubscription(c, err)
		return
	}
	g.undelivered.Do(func() {
		g.log.Warn().Str("project", sub.Queue.Project).Str("queue", sub.Queue.Name).
			Msg("a webhook or mail subscription was stored, but this version delivers to sockets only")
	})
	c.reply(201, func(w *protocol.Writer) { writeSubscribed(w, c, sub, "") })
}

// subscribeSocket makes the session's socket a subscriber. The head is read before anything is promised: the marker in
// the reply names it, and from it on nothing is missed. Pushes begin once the reply is on its way.
func (g *Gateway) subscribeSocket(c *call, sub *protocol.Subscription) {
	sub.Socket = true
	sub.Subscriber = "http://" + c.sess.conn.LocalAddr().String() + "/" + c.sess.id.String()
	head, err := g.backend.Head(c.context(), sub.Queue)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	if err := g.backend.CreateSubscription(c.context(), sub); err != nil {
		if !errors.Is(err, protocol.ErrSubscriptionExists) {
			g.hub.ended.add(sub.ID) // it may be there all the same
		}
		g.refuseSubscription(c, err)
		return
	}
	enc := encodingOf(c.req.Codec, c.sess.extended)
	s, full := g.hub.subscribe(subscription{
		id: sub.ID, key: sub.Queue, head: head, ttl: time.Duration(sub.TTL) * time.Second,
		encoding: enc, session: &c.sess.subs, sink: &c.sess.out,
	})
	switch {
	case full:
		g.hub.ended.add(sub.ID)
		c.fail(errTooManySubscriptions)
	case s == nil:
		g.hub.ended.add(sub.ID)
		c.fail(protocol.ErrorStopping(retryStopping))
	default:
		g.hub.setEncoding(&c.sess.subs, enc)
		session := &c.sess.subs
		if !c.replyThen(201, func(w *protocol.Writer) { writeSubscribed(w, c, sub, headMarker(head)) }, s.open) {
			// The client was told that it failed: nothing may stand in the way when it tries again.
			g.hub.drop(sub.Queue, sub.ID, session)
			g.hub.ended.add(sub.ID)
		}
	}
}

// errTooManySubscriptions answers a session that has as many subscriptions as one may have.
var errTooManySubscriptions = &protocol.Error{
	Status: 429, Kind: protocol.KindAction, Code: "too_many_subscriptions",
	Exception: "This session has as many subscriptions as it may have.",
}

// refuseSubscription answers a subscription that was not made.
func (g *Gateway) refuseSubscription(c *call, err error) {
	if errors.Is(err, protocol.ErrSubscriptionExists) {
		// Zaqar answers a plain text here, not an error object.
		c.reply(409, textBody("Subscription "+c.req.Fields.QueueName+" not created."))
		return
	}
	c.fail(g.wireError(c, err))
}

// markerBeginning is the marker ahead of a queue's first message.
const markerBeginning = "beginning"

// headMarker is the marker behind which a subscription delivers everything.
func headMarker(head protocol.Head) string {
	if head.Last == 0 {
		return markerBeginning
	}
	return protocol.MessageID{Queue: head.QueueID, N: head.Last}.String()
}

// writeSubscribed writes the body of a made subscription. The marker is for those who know of it.
func writeSubscribed(w *protocol.Writer, c *call, sub *protocol.Subscription, marker string) {
	n := 2
	if marker != "" && c.extended() {
		n = 3
	}
	w.BeginMap(n)
	w.Key("subscription_id")
	w.String(sub.ID.String())
	w.Key("message")
	w.String("Subscription " + sub.Queue.Name + " created.")
	if n == 3 {
		w.Key("marker")
		w.String(marker)
	}
	w.EndMap()
}

// subscriptionList handles subscription_list.
func (g *Gateway) subscriptionList(c *call) {
	f := &c.req.Fields
	subs, err := g.backend.Subscriptions(c.context(), c.key(), f.Marker, f.Limit)
	if err != nil && !isMissing(err) {
		c.fail(g.wireError(c, err))
		return
	}
	c.reply(200, func(w *protocol.Writer) {
		w.BeginMap(1)
		w.Key("subscriptions")
		w.BeginArray(len(subs))
		for i := range subs {
			writeSubscription(w, &subs[i])
		}
		w.EndArray()
		w.EndMap()
	})
}

// subscriptionGet handles subscription_get.
func (g *Gateway) subscriptionGet(c *call) {
	// What is no UUID is the id of no subscription.
	id, err := uuid.Parse(c.req.Fields.SubscriptionID)
	if err != nil {
		c.fail(g.wireError(c, protocol.ErrNoSubscription))
		return
	}
	sub, err := g.backend.Subscription(c.context(), c.key(), id)
	if errors.Is(err, protocol.ErrNoQueue) {
		err = protocol.ErrNoSubscription
	}
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.reply(200, func(w *protocol.Writer) { writeSubscription(w, sub) })
}

func writeSubscription(w *protocol.Writer, sub *protocol.Subscription) {
	w.BeginMap(7)
	w.Key("id")
	w.String(sub.ID.String())
	w.Key("source")
	w.String(sub.Queue.Name)
	w.Key("subscriber")
	w.String(sub.Subscriber)
	w.Key("ttl")
	w.Int(int64(sub.TTL))
	w.Key("age")
	w.Int(int64(sub.Age))
	w.Key("options")
	w.RawJSON(sub.Options)
	w.Key("confirmed")
	w.Bool(sub.Confirmed)
	w.EndMap()
}

// subscriptionDelete handles subscription_delete. A subscription that does not exist is deleted already.
func (g *Gateway) subscriptionDelete(c *call) {
	text := c.req.Fields.SubscriptionID
	if id, err := uuid.Parse(text); err == nil {
		err := g.backend.DeleteSubscription(c.context(), c.key(), id)
		if err != nil && !isMissing(err) {
			c.fail(g.wireError(c, err))
			return
		}
		g.hub.drop(c.key(), id, &c.sess.subs)
	}
	c.reply(204, textBody("Subscription "+text+" removed."))
}
