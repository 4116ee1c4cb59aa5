package gateway

import (
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/gateway/deliver"
	"github.com/nusku-messaging/nusku/protocol"
)

// confirms says whether webhook and mail subscribers are asked for confirmation, and get nothing before they have given
// it.
func (g *Gateway) confirms() bool { return g.cfg.Links.RequireConfirmation }

// subscriptionConfirm handles subscription_confirm: the subscriber wants the messages, or wants no more.
func (g *Gateway) subscriptionConfirm(c *call) {
	f := &c.req.Fields
	err := protocol.ErrNoSubscription // what is no UUID is the id of none
	if id, parseErr := uuid.Parse(f.SubscriptionID); parseErr == nil {
		if f.Confirmed && !g.mayConfirm(c, id) {
			c.fail(errNotTheSubscriber)
			return
		}
		err = subscriptionError(g.backend.ConfirmSubscription(c.context(), c.key(), id, f.Confirmed))
	}
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(204, subscriptionConfirmed{f.Confirmed})
}

// errNotTheSubscriber answers who confirms in somebody else's place.
var errNotTheSubscriber = &protocol.Error{
	Status: 403, Kind: protocol.KindAction, Code: "not_the_subscriber",
	Exception: "Only the subscriber can confirm: by the signed URL in the request for confirmation that was sent to it. An administrator can, too.",
	Text:      "Not authorized",
}

// mayConfirm says whether the call comes from the subscriber, as far as it matters: it then presents the signed URL that
// only the subscriber was sent. A URL of queue_share does not do, for whoever subscribes somebody can make one. That the
// signature is good was checked when the call came in.
func (g *Gateway) mayConfirm(c *call, id uuid.UUID) bool {
	if !g.confirms() || c.req.IsAdmin() {
		return true
	}
	s := &c.req.Signature
	return s.Signature != "" && slices.Contains(strings.Split(s.Paths, ","), subscriptionConfirmPath(c.key(), id))
}

type subscriptionConfirmed struct{ confirmed bool }

func (a subscriptionConfirmed) frame(w *protocol.Writer, c *call) {
	text := " confirmed."
	if !a.confirmed {
		text = " not confirmed any more."
	}
	w.String("Subscription " + c.req.Fields.SubscriptionID + text)
}

func (subscriptionConfirmed) resource(x *exchange) {
	x.header("Location", x.path())
	x.empty(204)
}

// checkSubscriber says what is wrong with a durable subscriber beyond its scheme, or with its options; nil for nothing.
// Zaqar takes any and writes to its log what it cannot send; here whoever subscribes is told.
func (g *Gateway) checkSubscriber(subscriber string, options []byte) *protocol.Error {
	scheme, _, _ := strings.Cut(subscriber, ":")
	check := g.checkWebhook
	if strings.EqualFold(scheme, "mailto") {
		check = g.checkMailto
	}
	if err := check(subscriber, options); err != nil {
		return subscriberError(scheme + ": " + err.Error())
	}
	return nil
}

func subscriberError(text string) *protocol.Error {
	return &protocol.Error{Status: 400, Kind: protocol.KindAction, Code: "subscriber", Exception: text}
}

func (g *Gateway) checkMailto(subscriber string, _ []byte) error {
	if text := g.cfg.Links.MailRefused; text != "" {
		return errors.New(text)
	}
	_, err := deliver.ParseMailto(subscriber)
	return err
}

func (g *Gateway) checkWebhook(subscriber string, options []byte) error {
	if err := deliver.CheckWebhook(subscriber); err != nil {
		return err
	}
	if options == nil {
		return nil
	}
	return deliver.CheckWebhookOptions(options)
}
