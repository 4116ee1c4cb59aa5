package gateway

import (
	"errors"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// errSocketSubscription answers a change of a subscription that pushes to a socket: it is what its session asked for.
var errSocketSubscription = &protocol.Error{
	Status: 409, Kind: protocol.KindAction, Code: "socket_subscription",
	Exception: "A subscription that pushes to a WebSocket cannot be changed: its session deletes it and makes another one.",
}

// subscriptionUpdate handles subscription_update.
func (g *Gateway) subscriptionUpdate(c *call) {
	f := &c.req.Fields
	sub, ok := g.deliveredSubscription(c)
	if !ok {
		return
	}
	change := protocol.SubscriptionChange{Options: f.Options}
	subscriber := sub.Subscriber
	if f.Set.Has(protocol.FieldSubscriber) && !sameSubscriber(f.Subscriber, sub) {
		if g.confirms() {
			c.fail(errConfirmedSubscriber)
			return
		}
		subscriber = f.Subscriber
		change.Subscriber = &f.Subscriber
	}
	if e := g.checkSubscriber(subscriber, f.Options); e != nil {
		c.fail(e)
		return
	}
	if f.Set.Has(protocol.FieldTTL) {
		change.TTL = &f.TTL
	}
	if err := g.backend.UpdateSubscription(c.context(), c.key(), sub.ID, change); err != nil {
		c.fail(g.wireError(c, subscriptionError(err)))
		return
	}
	c.answer(204, subscriptionUpdated(f.SubscriptionID))
}

// errConfirmedSubscriber answers who wants to lead a subscription elsewhere: the link by which the old subscriber
// confirmed would confirm for the new one.
var errConfirmedSubscriber = &protocol.Error{
	Status: 409, Kind: protocol.KindAction, Code: "confirmed_subscriber",
	Exception: "Where subscribers have to confirm, the subscriber of a subscription cannot be changed: delete it and make another one.",
}

// sameSubscriber says whether a subscriber that was sent is the one that sub has. Who sends back what it was shown, without
// the password, changes nothing.
func sameSubscriber(sent string, sub *protocol.Subscription) bool {
	return sent == sub.Subscriber || sent == protocol.ShownSubscriber(sub.Subscriber)
}

type subscriptionUpdated string

func (a subscriptionUpdated) frame(w *protocol.Writer, _ *call) {
	w.String("Subscription " + string(a) + " updated.")
}

func (subscriptionUpdated) resource(x *exchange) {
	x.header("Location", x.path())
	x.empty(204)
}

// deliveredSubscription returns the subscription that the call names. One that does not exist, or that pushes to a
// socket, is answered: ok is then false.
func (g *Gateway) deliveredSubscription(c *call) (sub *protocol.Subscription, ok bool) {
	sub, err := g.namedSubscription(c)
	switch {
	case err != nil:
		c.fail(g.wireError(c, err))
	case sub.Socket:
		c.fail(errSocketSubscription)
	default:
		return sub, true
	}
	return nil, false
}

// namedSubscription returns the subscription that the call names, or protocol.ErrNoSubscription. What is no UUID is the
// id of none.
func (g *Gateway) namedSubscription(c *call) (*protocol.Subscription, error) {
	id, err := uuid.Parse(c.req.Fields.SubscriptionID)
	if err != nil {
		return nil, protocol.ErrNoSubscription
	}
	sub, err := g.backend.Subscription(c.context(), c.key(), id)
	return sub, subscriptionError(err)
}

// subscriptionError: a queue that does not exist has no subscriptions.
func subscriptionError(err error) error {
	if errors.Is(err, protocol.ErrNoQueue) {
		return protocol.ErrNoSubscription
	}
	return err
}
