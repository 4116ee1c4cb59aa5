package protocol

import (
	"net"
	"net/url"
	"strings"
)

// ShownSubscriber is a subscriber's URI with "xxxxx" for its password, for answers. The rest stays as it was sent, for
// clients compare it.
func ShownSubscriber(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return uri
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return uri
	}
	user, _, secret := strings.Cut(authority[:at], ":")
	if !secret {
		return uri
	}
	return scheme + "://" + user + ":xxxxx" + rest[at:]
}

// SubscriberAddresses are those who are bothered by what is sent to a subscriber, spelt in one way: the mailboxes of a
// mailto URI in lower case, or scheme, host and port of a webhook. What is neither is its own address.
func SubscriberAddresses(uri string) []string {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return []string{uri}
	case strings.EqualFold(u.Scheme, "mailto"):
		return mailboxes(u)
	case u.Host == "":
		return []string{uri}
	}
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	return []string{scheme + "://" + net.JoinHostPort(host, port)}
}

// mailboxes are the addresses of a mailto URI, each once.
func mailboxes(u *url.URL) []string {
	text := u.Opaque
	if text == "" {
		text = u.EscapedPath()
	}
	var boxes []string
	seen := map[string]bool{}
	for box := range strings.SplitSeq(text, ",") {
		if plain, err := url.PathUnescape(box); err == nil {
			box = plain
		}
		if box = strings.ToLower(box); !seen[box] {
			seen[box] = true
			boxes = append(boxes, box)
		}
	}
	return boxes
}
