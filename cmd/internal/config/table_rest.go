package config

import (
	"time"

	"github.com/nusku-messaging/nusku/gateway"
)

func restTable(c *gateway.RESTConfig) []setting {
	return inGroup("REST requests",
		number("max-requests", &c.MaxRequests, 1, 1_000_000, "N", "Requests that may be carried out at a time; further ones are answered 503."),
		number("max-requests-per-address", &c.MaxRequestsPerAddress, 1, 1_000_000, "N", "The same, of one address (of IPv6: one /64 network)."),
		number("max-blocking-per-address", &c.BlockingPerAddress, 1, 100_000, "N", "Requests of one address that may wait for the database at a time; max-blocking bounds them in all."),
		duration("body-timeout", &c.BodyTimeout, 100*time.Millisecond, time.Hour, "How long the body of a request may take from the end of its header to its last byte."),
		list("cors-origins", &c.CORSOrigins, "LIST", "Origins of pages that may use the REST resources besides the gateway's own, separated by commas: https://app.example.com; * is all."),
		list("cors-headers", &c.CORSHeaders, "LIST", "Request headers that such pages may send besides those that the resources know, separated by commas."),
		duration("cors-max-age", &c.CORSMaxAge, 0, 24*time.Hour, "How long browsers may remember what a page may do."),
	)
}
