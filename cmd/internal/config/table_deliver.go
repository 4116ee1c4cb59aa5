package config

import (
	"math"
	"time"

	"github.com/nusku-messaging/nusku/gateway/deliver"
)

func deliveryTable(c *deliver.Config) []setting {
	return inGroup("Delivery to webhooks and mail subscribers",
		duration("delivery-lease", &c.Lease, time.Second, 10*time.Minute, "How long this gateway takes a subscription for, over and over; after a gateway's death others deliver so much later."),
		duration("webhook-timeout", &c.RequestTimeout, 10*time.Millisecond, 5*time.Minute, "How long a request or a mail may take from its connection to its answer; below half of delivery-lease."),
		duration("delivery-lease-interval", &c.LeaseInterval, 10*time.Millisecond, time.Minute, "How often subscriptions that nobody delivers for are looked for."),
		number("delivery-lease-batch", &c.LeaseBatch, 1, 10_000, "N", "Subscriptions that are taken at once."),
		number("max-delivery-subscriptions", &c.MaxSubscriptions, 1, math.MaxInt32, "N", "Subscriptions that this gateway delivers for, per pool."),
		duration("delivery-poll-interval", &c.PollInterval, 10*time.Millisecond, time.Hour, "How often their queues are compared with what was delivered, in case that a wake was lost."),
		duration("delivery-save-interval", &c.SaveInterval, 0, 10*time.Second, "How long progress may stay unsaved: what a gateway that dies delivered in it is delivered again."),
		duration("delivery-query-timeout", &c.QueryTimeout, 100*time.Millisecond, time.Hour, "How long a use of the database may take."),
		number("max-delivery-requests", &c.MaxRequests, 4, 100_000, "N", "Requests under way: half to endpoints that are well, a quarter each to new ones and to those that fail or are slow."),
		number("max-requests-per-endpoint", &c.MaxPerEndpoint, 1, 10_000, "N", "Requests under way to one scheme, host and port."),
		duration("delivery-slow-after", &c.SlowAfter, time.Millisecond, time.Hour, "How long an answer may take before its endpoint counts as slow."),
		number("delivery-page-rows", &c.PageRows, 1, 100_000, "N", "Messages that are read at once for a subscription."),
		size("delivery-page-bytes", &c.PageBytes, 1<<10, 1<<30, "Bytes of bodies that are read so at once."),
		size("delivery-page-total", &c.TotalPageBytes, 8<<10, 1<<50, "Such messages with their requests, in all; at least 8 times delivery-page-bytes."),
		number("delivery-breaker-failures", &c.BreakerFailures, 1, math.MaxInt32, "N", "Requests to an endpoint that must fail in a row before it is left alone."),
		duration("delivery-breaker-pause", &c.BreakerPause, 10*time.Millisecond, time.Hour, "How long it is left alone before one request is tried."),
		duration("max-retry-after", &c.MaxRetryAfter, 0, 24*time.Hour, "How long an endpoint may ask to be left alone."),
	)
}

func webhookTable(c *deliver.WebhookConfig) []setting {
	return inGroup("Webhooks",
		list("webhook-allow", &c.AllowNetworks, "LIST", "Networks and addresses that webhooks may be in although they are private, separated by commas: 10.1.0.0/16, ::1."),
		number("webhook-redirects", &c.MaxRedirects, 0, 20, "N", "Redirects that are followed, 307 and 308 only."),
		size("webhook-max-header", &c.MaxResponseHeader, 1<<10, 1<<20, "Largest header of an answer."),
		size("webhook-max-answer", &c.MaxResponseBody, 0, 1<<20, "How much of an answer's body is read and dropped; after more its connection is closed."),
		duration("webhook-idle-timeout", &c.IdleTimeout, 10*time.Millisecond, time.Hour, "How long a connection is kept for the next request."),
		number("webhook-max-idle", &c.MaxIdle, 1, 100_000, "N", "Connections that are kept so."),
	)
}
