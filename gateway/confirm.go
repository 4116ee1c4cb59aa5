package gateway

import (
	"errors"
	"fmt"
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
		err = subscriptionError(g.backend.ConfirmSubscription(c.context(), c.key(), id, f.Confirmed))
	}
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(204, subscriptionConfirmed{f.Confirmed})
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

// What is stored of each durable subscriber has a bound, because a gateway may deliver for very many. Bytes.
const (
	maxSubscriber = 2000 // the database's index takes little more
	maxOptions    = 64 << 10
)

// checkSubscriber says what is wrong with a durable subscriber beyond its scheme, or with its options; nil for nothing.
// Zaqar takes any and writes to its log what it cannot send; here whoever subscribes is told.
func (g *Gateway) checkSubscriber(subscriber string, options []byte) *protocol.Error {
	switch {
	case len(subscriber) > maxSubscriber:
		return subscriberError(fmt.Sprintf("The subscriber may have %d bytes at most.", maxSubscriber))
	case len(options) > maxOptions:
		return subscriberError(fmt.Sprintf("The options of a subscription may have %d bytes at most.", maxOptions))
	}
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
