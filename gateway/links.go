package gateway

import (
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/gateway/auth"
	"github.com/nusku-messaging/nusku/gateway/deliver"
	"github.com/nusku-messaging/nusku/protocol"
)

// Links makes what subscribers are sent to confirm or end a subscription with: it is a deliver.Confirmer and a
// deliver.Unsubscriber. Its links lead to the page of every gateway with the same settings. Safe for concurrent use.
type Links struct{ cfg LinkConfig }

// NewLinks returns the links of gateways with these settings, which must have a SigningKey.
func NewLinks(cfg LinkConfig) *Links { return &Links{cfg} }

// confirmPath is where the page is. Its query is a signed URL.
const confirmPath = "/confirm"

// confirmMethod is the method of subscription_confirm, which is what the links are signed for.
const confirmMethod = "PUT"

// subscriptionConfirmPath is the path of a subscription's confirmation.
func subscriptionConfirmPath(key protocol.QueueKey, id uuid.UUID) string {
	return queuePath(key) + "/subscriptions/" + id.String() + "/confirm"
}

// sign signs a subscription's confirmation, for as long as the subscription lasts.
func (l *Links) sign(sub *protocol.Subscription) (auth.Signed, error) {
	left := time.Duration(sub.TTL-sub.Age) * time.Second
	return auth.Sign(l.cfg.key(), auth.URL{
		Paths: []string{subscriptionConfirmPath(sub.Queue, sub.ID)}, Methods: []string{confirmMethod},
		Project: sub.Queue.Project, Expires: time.Now().Add(left),
	})
}

// page is the address of the page on which a person confirms, or ends, a subscription.
func (l *Links) page(s auth.Signed, confirmed bool) string {
	query := url.Values{
		"Signature": {s.Signature}, "Methods": s.Methods, "Paths": s.Paths, "Project": {s.Project},
		"Expires": {auth.FormatExpires(s.Expires)},
	}
	if !confirmed {
		query.Set("Confirmed", "false")
	}
	return l.cfg.link(confirmPath, query)
}

// UnsubscribeLink returns the address of the page on which the subscriber ends the subscription; "" without a PublicURL.
func (l *Links) UnsubscribeLink(sub *protocol.Subscription) string {
	if l.cfg.PublicURL == "" {
		return ""
	}
	s, err := l.sign(sub)
	if err != nil { // a project that cannot be signed for
		return ""
	}
	return l.page(s, false)
}

// Confirmation returns the request for confirmation of a subscription.
func (l *Links) Confirmation(d *protocol.Durable) (deliver.Notice, error) {
	sub := &d.Subscription
	s, err := l.sign(sub)
	if err != nil {
		return deliver.Notice{}, err
	}
	return deliver.Notice{Confirmation: &deliver.Confirmation{
		Body: l.request(sub, s), Page: l.page(s, true), Expires: auth.FormatExpires(s.Expires),
	}}, nil
}

// request is what a webhook is sent, field by field as by Zaqar, and in addition the addresses of the page.
func (l *Links) request(sub *protocol.Subscription, s auth.Signed) []byte {
	name, path := sub.Queue.ShownName(), s.Paths[0]
	fields := []struct{ key, value string }{
		{"Message_Type", "SubscriptionConfirmation"},
		{"Message", "You have chosen to subscribe to the queue: " + name},
		{"URL-Signature", s.Signature},
		{"URL-Methods", s.Methods[0]},
		{"URL-Paths", path},
		{"X-Project-ID", s.Project},
		{"URL-Expires", auth.FormatExpires(s.Expires)},
		{"WSGISubscribeURL", l.cfg.link(path, nil)},
		{"WebSocketSubscribeURL", "ws" + strings.TrimPrefix(l.cfg.link(path, nil), "http")},
		{"SubscribeURL", l.page(s, true)},
		{"UnsubscribeURL", l.page(s, false)},
		{"queue_name", name},
	}
	w := protocol.Writer{Codec: protocol.JSON}
	w.BeginMap(len(fields) + 2)
	for _, field := range fields {
		w.Key(field.key)
		w.String(field.value)
	}
	w.Key("SubscribeBody")
	writeConfirmed(&w, true)
	w.Key("UnsubscribeBody")
	writeConfirmed(&w, false)
	w.EndMap()
	return w.Buf
}

func writeConfirmed(w *protocol.Writer, confirmed bool) {
	w.BeginMap(1)
	w.Key("confirmed")
	w.Bool(confirmed)
	w.EndMap()
}
