package store

import "time"

// DeliveryConfig holds the settings of what could not be delivered to webhooks and mail addresses, and of the requests for
// confirmation that are sent to them.
type DeliveryConfig struct {
	// DeadDeliveries bounds the dead deliveries that are kept of one subscription: past it the oldest goes. 1 to 100,000,
	// default 1000.
	DeadDeliveries int
	// DeadDeliveryTTL is for how long a dead delivery is kept, 1 min to 10 years, default 7 days.
	DeadDeliveryTTL time.Duration
	// ConfirmationPause is how long after a request for confirmation who subscribes again is sent no other, 0 to 1 day,
	// default 5 min.
	ConfirmationPause time.Duration
	// ConfirmationsPerAddress bounds the requests for confirmation that are sent to one mailbox, or to one webhook's host
	// and port, in an hour, whoever asks for them. 1 to 1,000,000, default 20.
	ConfirmationsPerAddress int
	// ConfirmationsPerProject bounds those that one project has sent in an hour, 1 to 10,000,000, default 200.
	ConfirmationsPerProject int
}

// DefaultDeliveryConfig returns the defaults that DeliveryConfig documents.
func DefaultDeliveryConfig() DeliveryConfig {
	return DeliveryConfig{
		DeadDeliveries: 1000, DeadDeliveryTTL: 7 * 24 * time.Hour,
		ConfirmationPause: 5 * time.Minute, ConfirmationsPerAddress: 20, ConfirmationsPerProject: 200,
	}
}

func (c *DeliveryConfig) ranges() []settingRange {
	return []settingRange{
		countRange("Deliveries.DeadDeliveries", c.DeadDeliveries, 1, 100_000),
		durationRange("Deliveries.DeadDeliveryTTL", c.DeadDeliveryTTL, time.Minute, 10*365*24*time.Hour),
		durationRange("Deliveries.ConfirmationPause", c.ConfirmationPause, 0, 24*time.Hour),
		countRange("Deliveries.ConfirmationsPerAddress", c.ConfirmationsPerAddress, 1, 1_000_000),
		countRange("Deliveries.ConfirmationsPerProject", c.ConfirmationsPerProject, 1, 10_000_000),
	}
}
