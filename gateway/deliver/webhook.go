package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/nusku-messaging/nusku/protocol"
)

// drainTimeout bounds how long the rest of an answer is waited for, which serves only to use the connection again.
const drainTimeout = 250 * time.Millisecond

// Webhook is the Sink for http and https. It sends a request per notice, signed as the Standard Webhooks specification
// says (standardwebhooks.com), through a guard against addresses that are not public.
//
// A user name and password in the subscriber's URI are sent as basic authentication, unless post_headers has an
// Authorization of its own. No proxy is used, whatever the environment says. TLS certificates are verified.
type Webhook struct {
	client *http.Client
	agent  string
	cfg    WebhookConfig
}

// NewWebhook returns a sink whose requests carry the version in their User-Agent. The error is about cfg.
func NewWebhook(cfg *Config, version string) (*Webhook, error) {
	allowed, err := parseNetworks(cfg.Webhook.AllowNetworks)
	if err != nil {
		return nil, err
	}
	g := &guard{allowed: allowed}
	dialer := &net.Dialer{ControlContext: g.control, KeepAlive: 15 * time.Second}
	w := &Webhook{agent: "nusku/" + version, cfg: cfg.Webhook}
	w.client = &http.Client{
		CheckRedirect: w.checkRedirect,
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConns:           cfg.Webhook.MaxIdle,
			MaxIdleConnsPerHost:    min(cfg.MaxPerEndpoint, cfg.Webhook.MaxIdle),
			IdleConnTimeout:        cfg.Webhook.IdleTimeout,
			MaxResponseHeaderBytes: int64(cfg.Webhook.MaxResponseHeader),
		},
	}
	return w, nil
}

// Close closes the connections that are kept for later. No Deliver may be under way.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// CheckWebhook says what is wrong with the URI of a webhook, in a text that shows nothing of it.
func CheckWebhook(subscriber string) error {
	_, err := parseWebhook(subscriber)
	return err
}

// parseWebhook does not show the parser's error, which has the URI in it, secrets and all.
func parseWebhook(subscriber string) (*url.URL, error) {
	u, err := url.Parse(subscriber)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("not the address of a webhook")
	}
	return u, checkWebhookAddress(subscriber, u)
}

// Endpoint is scheme, host and port.
func (w *Webhook) Endpoint(subscriber string) (string, error) {
	u, err := parseWebhook(subscriber)
	if err != nil {
		return "", err
	}
	return origin(u), nil
}

// origin is scheme, host and port of u.
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// Deliver makes one request.
func (w *Webhook) Deliver(ctx context.Context, d *protocol.Durable, n Notice) error {
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	request, err := w.request(ctx, d, n)
	if err != nil {
		return &Failure{Reason: "the request cannot be made", Cause: err}
	}
	response, err := w.client.Do(request)
	if err != nil {
		return requestFailure(ctx, err)
	}
	w.drain(response.Body, cut)
	if response.StatusCode >= 200 && response.StatusCode <= 299 {
		return nil
	}
	return answerFailure(response, time.Now())
}

// request makes the request for a notice.
func (w *Webhook) request(ctx context.Context, d *protocol.Durable, n Notice) (*http.Request, error) {
	options, err := readWebhookOptions(d.Subscription.Options)
	if err != nil {
		options = webhookOptions{} // stored before it was checked: the message matters more
	}
	payload, err := webhookPayload(d, n)
	if err != nil {
		return nil, err
	}
	if n.Message != nil {
		payload = options.fill(payload)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Subscription.Subscriber, bytes.NewReader(payload))
	if err != nil {
		return nil, errors.New("not the address of a webhook")
	}
	request.Header.Set("Content-Type", "application/json")
	options.header(request.Header)
	request.Header.Set("User-Agent", w.agent)
	// Not sent. It lets net/http use another connection at once when one that was idle turns out to be closed; subscribers
	// tell repetitions by webhook-id.
	request.Header["Idempotency-Key"] = []string{}
	return request, sign(request.Header, n.ID, time.Now(), payload, d.Secrets)
}

// webhookPayload is what a webhook is sent for a notice, in JSON, as Zaqar words it.
func webhookPayload(d *protocol.Durable, n Notice) ([]byte, error) {
	if n.Confirmation != nil {
		return n.Confirmation.Body, nil
	}
	var w protocol.Writer
	name := d.Subscription.Queue.ShownName()
	if n.Gap != nil {
		w.Reset(protocol.JSON, make([]byte, 0, 128))
		protocol.AppendGap(&w, name, *n.Gap)
	} else {
		w.Reset(protocol.JSON, make([]byte, 0, len(n.Message.Body)+len(name)+96))
		protocol.AppendNotification(&w, name, n.Message, false)
	}
	return w.Buf, w.Err()
}

// sign sets the headers of Standard Webhooks. There is a signature for each secret that is valid, so that secrets can be
// changed without a break.
func sign(h http.Header, id string, at time.Time, payload []byte, secrets [][]byte) error {
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	signatures := make([]string, 0, len(secrets))
	for _, secret := range secrets {
		signer, err := standardwebhooks.NewWebhookRaw(secret)
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		signature, err := signer.Sign(id, at, payload)
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		signatures = append(signatures, signature)
	}
	if len(signatures) > 0 {
		h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	}
	return nil
}

// drain reads a little of an answer's body, so that its connection can be used again, and closes it. cut ends the request.
func (w *Webhook) drain(body io.ReadCloser, cut func()) {
	timer := time.AfterFunc(drainTimeout, cut)
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, body, int64(w.cfg.MaxResponseBody)+1) // whatever comes, the answer is known
	_ = body.Close()
}

// errRedirect says that a redirect was not followed.
var errRedirect = errors.New("redirect not followed")

// checkRedirect follows redirects that keep method and body, but not from https to http, and takes nothing that could be
// a secret to another origin.
func (w *Webhook) checkRedirect(next *http.Request, via []*http.Request) error {
	status := next.Response.StatusCode
	switch {
	case status != http.StatusTemporaryRedirect && status != http.StatusPermanentRedirect:
		return http.ErrUseLastResponse
	case len(via) > w.cfg.MaxRedirects:
		return fmt.Errorf("%w: more than %d", errRedirect, w.cfg.MaxRedirects)
	case next.URL.Scheme != "https" && next.URL.Scheme != via[0].URL.Scheme:
		return fmt.Errorf("%w: from %s to %s", errRedirect, via[0].URL.Scheme, next.URL.Scheme)
	}
	next.Header.Del("Referer") // net/http makes one, of the whole URL
	if origin(next.URL) != origin(via[0].URL) {
		next.Header = publicHeader(next.Header)
	}
	return nil
}

// publicHeader returns the headers that any receiver may see: none of post_headers.
func publicHeader(h http.Header) http.Header {
	public := http.Header{"Idempotency-Key": []string{}, "Content-Type": []string{"application/json"}}
	for _, name := range []string{"User-Agent", standardwebhooks.HeaderWebhookID,
		standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature} {
		if values := h.Values(name); len(values) > 0 {
			public[http.CanonicalHeaderKey(name)] = values
		}
	}
	return public
}
