package client

import (
	"context"
	"time"
)

// Share says what the holder of a signed URL may do.
type Share struct {
	// Paths are the parts of the queue: "messages", "subscriptions", "claims"; just "messages" if nil.
	Paths []string
	// Methods are HTTP methods; just GET if nil.
	Methods []string
	// Expires is when it ends; the gateway's default, a day from now, if zero.
	Expires time.Time
}

// SignedURL is what lets others use a queue without an account: over REST, and over a WebSocket, as the headers
// URL-Signature, URL-Expires, URL-Methods and URL-Paths, the lists joined by commas, beside X-Project-ID.
type SignedURL struct {
	Paths     []string `json:"paths"`
	Methods   []string `json:"methods"`
	Project   string   `json:"project"`
	Expires   string   `json:"expires"`
	Signature string   `json:"signature"`
}

// expiresLayout is how the wire has the end of a signed URL, in UTC.
const expiresLayout = "2006-01-02T15:04:05"

// ShareQueue makes a signed URL for a queue.
func (c *Client) ShareQueue(ctx context.Context, queue string, share Share) (*SignedURL, error) {
	body := struct {
		queueBody
		Paths   []string `json:"paths,omitempty"`
		Methods []string `json:"methods,omitempty"`
		Expires string   `json:"expires,omitempty"`
	}{named(queue), share.Paths, share.Methods, ""}
	if !share.Expires.IsZero() {
		body.Expires = share.Expires.UTC().Format(expiresLayout)
	}
	var result SignedURL
	if _, err := c.call(ctx, queueAction(queue, "share"), body, &result); err != nil {
		return nil, err
	}
	return &result, nil
}
