package store

import "time"

// DeliveryConfig holds the settings of what could not be delivered to webhooks and mail addresses.
type DeliveryConfig struct {
	// DeadDeliveries bounds the dead deliveries that are kept of one subscription: past it the oldest goes. 1 to 100,000,
	// default 1000.
	DeadDeliveries int
	// DeadDeliveryTTL is for how long a dead delivery is kept, 1 min to 10 years, default 7 days.
	DeadDeliveryTTL time.Duration
}

// DefaultDeliveryConfig returns the defaults that DeliveryConfig documents.
func DefaultDeliveryConfig() DeliveryConfig {
	return DeliveryConfig{DeadDeliveries: 1000, DeadDeliveryTTL: 7 * 24 * time.Hour}
}

func (c *DeliveryConfig) ranges() []settingRange {
	return []settingRange{
		countRange("Deliveries.DeadDeliveries", c.DeadDeliveries, 1, 100_000),
		durationRange("Deliveries.DeadDeliveryTTL", c.DeadDeliveryTTL, time.Minute, 10*365*24*time.Hour),
	}
}
