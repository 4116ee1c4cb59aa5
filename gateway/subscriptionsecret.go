package gateway

import (
	"encoding/base64"

	"github.com/nusku-messaging/nusku/protocol"
)

// secretPrefix begins a secret as Standard Webhooks writes it; the rest is base64.
const secretPrefix = "whsec_"

// subscriptionSecret handles subscription_secret: it tells, and with rotate renews, what signs the requests to a webhook.
func (g *Gateway) subscriptionSecret(c *call) {
	sub, ok := g.deliveredSubscription(c)
	if !ok {
		return
	}
	secrets, err := g.backend.SubscriptionSecrets(c.context(), c.key(), sub.ID, c.req.Fields.Rotate)
	if err != nil {
		c.fail(g.wireError(c, subscriptionError(err)))
		return
	}
	c.answer(200, secretsFound(secrets))
}

// secretsFound are a subscription's secrets, the newest first.
type secretsFound [][]byte

func (a secretsFound) frame(w *protocol.Writer, _ *call) { a.write(w) }

// resource keeps secrets out of caches.
func (a secretsFound) resource(x *exchange) {
	x.header("Cache-Control", "no-store")
	x.json(200, a.write)
}

func (a secretsFound) write(w *protocol.Writer) {
	w.BeginMap(1)
	w.Key("secrets")
	w.BeginArray(len(a))
	for _, secret := range a {
		w.String(secretPrefix + base64.StdEncoding.EncodeToString(secret))
	}
	w.EndArray()
	w.EndMap()
}
