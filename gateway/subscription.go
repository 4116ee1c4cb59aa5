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
		sub.Options = emptyObject
	}
	if sub.Subscriber == "" && c.sess != nil {
		g.subscribeSocket(c, sub)
		return
	}
	if e := g.checkSubscriber(sub.Subscriber, sub.Options); e != nil {
		c.fail(e)
		return
	}
	err := g.backend.CreateSubscription(c.context(), sub, g.confirms())
	switch {
	case errors.Is(err, protocol.ErrSubscriptionExists):
		c.answer(409, &subscribed{sub: sub, exists: true})
	case err != nil:
		c.fail(g.wireError(c, err))
	default:
		c.answer(201, &subscribed{sub: sub})
	}
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
	from, err := g.startBehind(c.context(), sub.Queue, head, protocol.SubscriptionStart(sub.Options))
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	if err := g.backend.CreateSubscription(c.context(), sub, false); err != nil {
		if errors.Is(err, protocol.ErrSubscriptionExists) {
			c.answer(409, &subscribed{sub: sub, exists: true})
			return
		}
		g.hub.ended.add(sub.ID) // it may be there all the same
		c.fail(g.wireError(c, err))
		return
	}
	enc := encodingOf(c.req.Codec, c.sess.extended)
	s, full := g.hub.subscribe(subscription{
		id: sub.ID, key: sub.Queue, head: head, ttl: time.Duration(sub.TTL) * time.Second,
		encoding: enc, session: &c.sess.subs, sink: &c.sess.out, from: from,
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
		if !c.answerThen(201, &subscribed{sub: sub, marker: from.marker(head)}, s.open) {
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

// markerBeginning is the marker ahead of a queue's first message.
const markerBeginning = "beginning"

// headMarker is the marker behind which a subscription delivers everything.
func headMarker(head protocol.Head) string {
	if head.Last == 0 {
		return markerBeginning
	}
	return protocol.MessageID{Queue: head.QueueID, N: head.Last}.String()
}

// subscribed is a subscription that was made, or that exists already.
type subscribed struct {
	sub    *protocol.Subscription
	exists bool
	// marker is for those who know of it.
	marker string
}

func (a *subscribed) frame(w *protocol.Writer, c *call) {
	name := a.sub.Queue.ShownName()
	if a.exists {
		// Zaqar answers a plain text here, not an error object.
		w.String("Subscription " + name + " not created.")
		return
	}
	marked := a.marker != "" && c.extended()
	w.BeginMap(2 + countIf(marked))
	w.Key("subscription_id")
	w.String(a.sub.ID.String())
	w.Key("message")
	w.String("Subscription " + name + " created.")
	if marked {
		w.Key("marker")
		w.String(a.marker)
	}
	w.EndMap()
}

// resource: who asks again for a subscription that is not confirmed gets its id, and its subscriber is asked again.
func (a *subscribed) resource(x *exchange) {
	x.header("Location", x.path())
	if a.exists && a.sub.Confirmed {
		x.fault(protocol.ErrorSubscriptionExists(&x.c.req))
		return
	}
	x.json(201, func(w *protocol.Writer) {
		w.BeginMap(1)
		w.Key("subscription_id")
		w.String(a.sub.ID.String())
		w.EndMap()
	})
}

// subscriptionList handles subscription_list.
func (g *Gateway) subscriptionList(c *call) {
	f := &c.req.Fields
	subs, err := g.backend.Subscriptions(c.context(), c.key(), f.Marker, f.Limit)
	if err != nil && !isMissing(err) {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, subscriptionsFound(subs))
}

// subscriptionsFound is a page of subscriptions.
type subscriptionsFound []protocol.Subscription

func (a subscriptionsFound) frame(w *protocol.Writer, _ *call) {
	w.BeginMap(1)
	a.write(w)
	w.EndMap()
}

func (a subscriptionsFound) resource(x *exchange) {
	marker := ""
	if len(a) > 0 {
		marker = a[len(a)-1].ID.String()
	}
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(2)
		a.write(w)
		x.links(w, marker)
		w.EndMap()
	})
}

func (a subscriptionsFound) write(w *protocol.Writer) {
	w.Key("subscriptions")
	w.BeginArray(len(a))
	for i := range a {
		writeSubscription(w, &a[i])
	}
	w.EndArray()
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
	c.answer(200, (*subscriptionFound)(sub))
}

type subscriptionFound protocol.Subscription

func (a *subscriptionFound) frame(w *protocol.Writer, _ *call) {
	writeSubscription(w, (*protocol.Subscription)(a))
}

func (a *subscriptionFound) resource(x *exchange) {
	x.json(200, func(w *protocol.Writer) { writeSubscription(w, (*protocol.Subscription)(a)) })
}

func writeSubscription(w *protocol.Writer, sub *protocol.Subscription) {
	w.BeginMap(7)
	w.Key("id")
	w.String(sub.ID.String())
	w.Key("source")
	w.String(sub.Queue.ShownName())
	w.Key("subscriber")
	w.String(protocol.ShownSubscriber(sub.Subscriber))
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
		g.hub.drop(c.key(), id, c.subs())
	}
	c.answer(204, textDone("Subscription "+text+" removed."))
}

// subs are the subscriptions of the call's session; nil for an HTTP exchange, which has none.
func (c *call) subs() *sessionSubs {
	if c.sess == nil {
		return nil
	}
	return &c.sess.subs
}
