package deliver

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config holds the settings of deliveries to webhooks and mailboxes.
type Config struct {
	// Lease is for how long a gateway takes a subscription; it is renewed at a third of that. When a gateway dies,
	// others deliver after so long. 1 s to 10 min, default 30 s.
	Lease time.Duration
	// RequestTimeout bounds one request as a whole, from its connection to its answer. 10 ms or more, below half of Lease:
	// no request starts unless the lease outlasts it. Default 10 s.
	RequestTimeout time.Duration
	// LeaseInterval is how often subscriptions that nobody delivers for are looked for. 10 ms to 1 min, default 1 s.
	LeaseInterval time.Duration
	// LeaseBatch is how many are taken, or renewed, at once. 1 to 10,000, default 500.
	LeaseBatch int
	// MaxSubscriptions bounds how many this gateway delivers for, per pool. 1 or more, default 50,000.
	MaxSubscriptions int
	// PollInterval is how often the heads of their queues are compared with the cursors, in case that a wake was lost.
	// 10 ms to 1 h, default 5 s.
	PollInterval time.Duration
	// SaveInterval is for how long progress may stay unsaved: what a gateway that dies has sent in it is sent again.
	// 0 to 10 s, default 200 ms.
	SaveInterval time.Duration
	// QueryTimeout bounds each use of the database. 100 ms to 1 h, default 10 s.
	QueryTimeout time.Duration

	// MaxRequests bounds the requests under way, of all pools: half of them to endpoints that are well, a quarter each to
	// those not yet known and to those that fail or are slow. 4 to 100,000, default 512.
	MaxRequests int
	// MaxPerEndpoint bounds those to one endpoint. 1 to 10,000, default 8.
	MaxPerEndpoint int
	// SlowAfter is how long a request may take before its endpoint counts as slow. 1 ms to 1 h, default 1 s.
	SlowAfter time.Duration
	// PageRows and PageBytes bound what is read at once for one subscription. Rows, 1 to 100,000, default 100; bytes of
	// bodies, 1 KiB to 1 GiB, default 128 KiB.
	PageRows  int
	PageBytes int
	// TotalPageBytes bounds such pages with the requests made of them, of all pools, divided like MaxRequests. 8 times
	// PageBytes or more, default 64 MiB.
	TotalPageBytes int

	// BreakerFailures is how many requests to an endpoint must fail in a row before it is left alone. 1 or more, default 5.
	BreakerFailures int
	// BreakerPause is for how long, before one request is tried. 10 ms to 1 h, default 10 s.
	BreakerPause time.Duration
	// MaxRetryAfter bounds how long an endpoint may ask to be left alone. 0 to 24 h, default 1 h.
	MaxRetryAfter time.Duration

	Webhook WebhookConfig
}

// WebhookConfig holds the settings of requests to webhooks.
type WebhookConfig struct {
	// AllowNetworks are networks, like 10.1.0.0/16 or ::1/128, that webhooks may be in although they are not part of the
	// public Internet. Default none.
	AllowNetworks []string
	// MaxRedirects is how many redirects (307 and 308 only) are followed. 0 to 20, default 3.
	MaxRedirects int
	// MaxResponseHeader bounds the header of an answer. Bytes, 1 KiB to 1 MiB, default 32 KiB.
	MaxResponseHeader int
	// MaxResponseBody is how much of an answer's body is read, to be dropped, before its connection is closed rather than
	// used again. Bytes, 0 to 1 MiB, default 16 KiB.
	MaxResponseBody int
	// IdleTimeout is how long a connection is kept for the next request. 10 ms to 1 h, default 1 min.
	IdleTimeout time.Duration
	// MaxIdle bounds the connections that are kept so, of all endpoints. 1 to 100,000, default 512.
	MaxIdle int
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Lease: 30 * time.Second, RequestTimeout: 10 * time.Second,
		LeaseInterval: time.Second, LeaseBatch: 500, MaxSubscriptions: 50_000,
		PollInterval: 5 * time.Second, SaveInterval: 200 * time.Millisecond, QueryTimeout: 10 * time.Second,
		MaxRequests: 512, MaxPerEndpoint: 8, SlowAfter: time.Second,
		PageRows: 100, PageBytes: 128 << 10, TotalPageBytes: 64 << 20,
		BreakerFailures: 5, BreakerPause: 10 * time.Second, MaxRetryAfter: time.Hour,
		Webhook: WebhookConfig{
			MaxRedirects: 3, MaxResponseHeader: 32 << 10, MaxResponseBody: 16 << 10, IdleTimeout: time.Minute, MaxIdle: 512,
		},
	}
}

// rule is a condition of the settings and what is said when it does not hold.
type rule struct {
	ok   bool
	text string
}

// Check returns an error that names every setting that is out of range.
func (c *Config) Check() error {
	return errors.Join(checkRules([]rule{
		{within(c.Lease, time.Second, 10*time.Minute), "Lease must be 1 s to 10 min"},
		{c.RequestTimeout >= 10*time.Millisecond && c.RequestTimeout < c.Lease/2, "RequestTimeout must be at least 10 ms and below half of Lease"},
		{within(c.LeaseInterval, 10*time.Millisecond, time.Minute), "LeaseInterval must be 10 ms to 1 min"},
		{within(c.LeaseBatch, 1, 10_000), "LeaseBatch must be 1 to 10,000"},
		{c.MaxSubscriptions >= 1, "MaxSubscriptions must be at least 1"},
		{within(c.PollInterval, 10*time.Millisecond, time.Hour), "PollInterval must be 10 ms to 1 h"},
		{within(c.SaveInterval, 0, 10*time.Second), "SaveInterval must be 0 to 10 s"},
		{within(c.QueryTimeout, 100*time.Millisecond, time.Hour), "QueryTimeout must be 100 ms to 1 h"},
		{within(c.MaxRequests, 4, 100_000), "MaxRequests must be 4 to 100,000"},
		{within(c.MaxPerEndpoint, 1, 10_000), "MaxPerEndpoint must be 1 to 10,000"},
		{within(c.SlowAfter, time.Millisecond, time.Hour), "SlowAfter must be 1 ms to 1 h"},
		{within(c.PageRows, 1, 100_000), "PageRows must be 1 to 100,000"},
		{within(c.PageBytes, 1<<10, 1<<30), "PageBytes must be 1 KiB to 1 GiB"},
		{c.TotalPageBytes/8 >= c.PageBytes, "TotalPageBytes must be at least 8 times PageBytes"},
		{c.BreakerFailures >= 1, "BreakerFailures must be at least 1"},
		{within(c.BreakerPause, 10*time.Millisecond, time.Hour), "BreakerPause must be 10 ms to 1 h"},
		{within(c.MaxRetryAfter, 0, 24*time.Hour), "MaxRetryAfter must be 0 to 24 h"},
	}), c.Webhook.check())
}

func (c *WebhookConfig) check() error {
	_, err := parseNetworks(c.AllowNetworks)
	return errors.Join(err, checkRules([]rule{
		{within(c.MaxRedirects, 0, 20), "MaxRedirects must be 0 to 20"},
		{within(c.MaxResponseHeader, 1<<10, 1<<20), "MaxResponseHeader must be 1 KiB to 1 MiB"},
		{within(c.MaxResponseBody, 0, 1<<20), "MaxResponseBody must be 0 to 1 MiB"},
		{within(c.IdleTimeout, 10*time.Millisecond, time.Hour), "IdleTimeout must be 10 ms to 1 h"},
		{within(c.MaxIdle, 1, 100_000), "MaxIdle must be 1 to 100,000"},
	}))
}

func checkRules(rules []rule) error {
	var faults []error
	for _, r := range rules {
		if !r.ok {
			faults = append(faults, errors.New("deliver: "+r.text))
		}
	}
	return errors.Join(faults...)
}

func within[T int | time.Duration](v, low, high T) bool { return low <= v && v <= high }

// parseNetworks reads networks, and single addresses as networks of one.
func parseNetworks(texts []string) ([]netip.Prefix, error) {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("deliver: AllowNetworks: %q is not a network like 10.1.0.0/16: %w", text, err)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("deliver: AllowNetworks: %q: write an IPv4 network as such", text)
		}
		list = append(list, prefix.Masked())
	}
	return list, nil
}
