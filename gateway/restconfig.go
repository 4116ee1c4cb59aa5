package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// RESTConfig holds the settings of REST requests. What they may ask for is in Limits, and how long they may take in
// HandlerConfig.OperationTimeout and Config.RequestTimeout, as for frames.
type RESTConfig struct {
	// MaxRequests is how many requests may be carried out at a time, and MaxRequestsPerAddress how many of them may come
	// from one address (of IPv6: one /64 network); further ones are answered 503. Reading a request's body is not counted.
	// 1 or more; defaults 1024 and 256.
	MaxRequests, MaxRequestsPerAddress int
	// BlockingPerAddress is how many requests of one address may wait for the database at a time; the others wait for
	// these. They share Config.Blocking with the sessions. 1 or more; default 32.
	BlockingPerAddress int
	// BodyTimeout is how long a request's body may take from the end of the header to its last byte. 100 ms or more;
	// default 30 s.
	BodyTimeout time.Duration

	// CORSOrigins are the origins, like https://app.example.com, whose pages may use the REST resources; * is all of them.
	// Default none: no page of another site may.
	CORSOrigins []string
	// CORSHeaders are the request headers that such pages may send beside those that the resources know. Default none.
	CORSHeaders []string
	// CORSMaxAge is how long browsers may remember what a page may do. 0 to 24 h; default 1 h.
	CORSMaxAge time.Duration
}

// DefaultRESTConfig returns the defaults.
func DefaultRESTConfig() RESTConfig {
	return RESTConfig{
		MaxRequests: 1024, MaxRequestsPerAddress: 256, BlockingPerAddress: 32,
		BodyTimeout: 30 * time.Second, CORSMaxAge: time.Hour,
	}
}

// Check returns an error that names every setting that is out of its range; nil if all is well.
func (c RESTConfig) Check() error {
	var faults []error
	for _, rule := range []configRule{
		{c.MaxRequests >= 1, "MaxRequests must be at least 1"},
		{c.MaxRequestsPerAddress >= 1, "MaxRequestsPerAddress must be at least 1"},
		{c.BlockingPerAddress >= 1, "BlockingPerAddress must be at least 1"},
		{c.BodyTimeout >= 100*time.Millisecond, "BodyTimeout must be at least 100 ms"},
		{c.CORSMaxAge >= 0 && c.CORSMaxAge <= 24*time.Hour, "CORSMaxAge must be 0 to 24 h"},
	} {
		if !rule.ok {
			faults = append(faults, errors.New("rest: "+rule.text))
		}
	}
	for _, origin := range c.CORSOrigins {
		if scheme, host, ok := strings.Cut(origin, "://"); origin != "*" && (!ok || scheme == "" || host == "" || strings.Contains(host, "/")) {
			faults = append(faults, fmt.Errorf("rest: CORSOrigins: %q is neither * nor like https://app.example.com", origin))
		}
	}
	for _, name := range c.CORSHeaders {
		if name == "" || strings.ContainsAny(name, " ,:\r\n\t") {
			faults = append(faults, fmt.Errorf("rest: CORSHeaders: %q is no name of a header", name))
		}
	}
	return errors.Join(faults...)
}

// restHeaders are the request headers that the resources know and a page has to be allowed to send.
var restHeaders = []string{
	"Accept", "Client-Id", "Content-Type", "If-Match", "If-None-Match", "Last-Event-Id", "Url-Expires", "Url-Methods",
	"Url-Paths", "Url-Signature", "X-Auth-Token", "X-Project-Id", "X-Roles",
}

// shownHeaders are the response headers that a page may read.
var shownHeaders = strings.Join([]string{
	"ETag", "Location", "Retry-After", requestIDHeader,
}, ", ")

// corsAllowed says whether pages of that origin may use the resources.
func (c *RESTConfig) corsAllowed(origin string) bool {
	for _, allowed := range c.CORSOrigins {
		if allowed == "*" || strings.EqualFold(allowed, origin) {
			return true
		}
	}
	return false
}

// corsHeaders lists the request headers that pages may send.
func (c *RESTConfig) corsHeaders() string {
	list := append([]string(nil), restHeaders...)
	for _, name := range c.CORSHeaders {
		list = append(list, http.CanonicalHeaderKey(name))
	}
	return strings.Join(list, ", ")
}
