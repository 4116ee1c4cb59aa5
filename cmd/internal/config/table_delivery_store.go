package config

import (
	"time"

	"github.com/nusku-messaging/nusku/store"
)

func deadDeliveryTable(c *store.DeliveryConfig) []setting {
	return inGroup("What webhooks and mail subscribers did not take",
		number("dead-deliveries", &c.DeadDeliveries, 1, 100_000, "N", "Messages that are kept of a subscription after the last attempt to deliver them; the oldest goes for a new one."),
		duration("dead-delivery-ttl", &c.DeadDeliveryTTL, time.Minute, 10*365*24*hour, "For how long they are."),
	)
}
