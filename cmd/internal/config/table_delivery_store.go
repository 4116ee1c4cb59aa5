package config

import (
	"time"

	"github.com/nusku-messaging/nusku/store"
)

func deadDeliveryTable(c *store.DeliveryConfig) []setting {
	return append(inGroup("What webhooks and mail subscribers did not take",
		number("dead-deliveries", &c.DeadDeliveries, 1, 100_000, "N", "Messages that are kept of a subscription after the last attempt to deliver them; the oldest goes for a new one."),
		duration("dead-delivery-ttl", &c.DeadDeliveryTTL, time.Minute, 10*365*24*hour, "For how long they are."),
	), inGroup("Requests for confirmation",
		duration("confirmation-pause", &c.ConfirmationPause, 0, 24*hour, "How long after a request for confirmation who subscribes again is sent no other."),
		number("confirmations-per-address", &c.ConfirmationsPerAddress, 1, 1_000_000, "N", "Most requests for confirmation to one mailbox, or to one webhook's host and port, in an hour; further subscriptions are answered 429."),
		number("confirmations-per-project", &c.ConfirmationsPerProject, 1, 10_000_000, "N", "Most requests for confirmation that one project has sent in an hour; further subscriptions are answered 429."),
	)...)
}
