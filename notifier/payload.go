package notifier

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// A payload is ASCII text, so that it passes every server encoding: the version, the sender's id (base64url), and
// hints, separated by spaces. Numbers have base 36.
//
//	n2 AbCd…22 characters w1f:2s wa:1 r1f:4 c1f:project:queue sproject:queue h
//
// A new kind of hint needs a new version: gateways ignore versions that they do not know, and their polls
// cover that.
const payloadVersion = "n2"

// maxPayload is the longest payload in bytes: PostgreSQL refuses 8000 and more ("payload string too long").
const maxPayload = 7999

// The kinds of hint.
const (
	kindWake          = 'w' // queueID:n, messages up to number n are committed
	kindReleased      = 'r' // queueID:n, messages from number n on may be free again
	kindChanged       = 'c' // queueID:project:name, the queue was made, changed, purged or deleted
	kindSubscriptions = 's' // project:name, subscriptions to the queue were deleted
	kindEverything    = '*' // anything may have changed
	kindHello         = 'h' // the sender is alive
)

// hint is one fact in a payload.
type hint struct {
	kind    byte
	queueID int64
	n       int64
	key     protocol.QueueKey
}

// errPayload says that a payload is not of this version or not one at all.
var errPayload = errors.New("not a payload of version " + payloadVersion)

// append appends the hint's text to b.
func (h hint) append(b []byte) []byte {
	b = append(b, h.kind)
	switch h.kind {
	case kindWake, kindReleased:
		b = strconv.AppendInt(b, h.queueID, 36)
		b = append(b, ':')
		b = strconv.AppendInt(b, h.n, 36)
	case kindChanged:
		b = strconv.AppendInt(b, h.queueID, 36)
		b = append(b, ':')
		b = appendKey(b, h.key)
	case kindSubscriptions:
		b = appendKey(b, h.key)
	}
	return b
}

func appendKey(b []byte, key protocol.QueueKey) []byte {
	b = append(b, url.QueryEscape(key.Project)...)
	b = append(b, ':')
	return append(b, url.QueryEscape(key.Name)...)
}

// appendHeader appends what every payload of origin starts with.
func appendHeader(b []byte, origin uuid.UUID) []byte {
	b = append(b, payloadVersion...)
	b = append(b, ' ')
	return base64.RawURLEncoding.AppendEncode(b, origin[:])
}

// pack writes hints into as few payloads of at most limit bytes as their order allows. A hint that does not
// fit into a payload of its own becomes kindEverything.
func pack(origin uuid.UUID, hints []hint, limit int) []string {
	var payloads []string
	header := appendHeader(nil, origin)
	b := append([]byte(nil), header...)
	var text []byte
	for _, h := range hints {
		text = h.append(append(text[:0], ' '))
		if len(header)+len(text) > limit {
			text = hint{kind: kindEverything}.append(append(text[:0], ' '))
		}
		if len(b)+len(text) > limit {
			payloads = append(payloads, string(b))
			b = append(b[:0], header...)
		}
		b = append(b, text...)
	}
	if len(b) > len(header) {
		payloads = append(payloads, string(b))
	}
	return payloads
}

// parse reads a payload. It takes all of it or, with an error that wraps errPayload, nothing.
func parse(payload string) (origin uuid.UUID, hints []hint, err error) {
	version, rest, _ := strings.Cut(payload, " ")
	if version != payloadVersion {
		return origin, nil, errPayload
	}
	sender, rest, _ := strings.Cut(rest, " ")
	id, err := base64.RawURLEncoding.Strict().DecodeString(sender)
	if err != nil || len(id) != len(origin) {
		return origin, nil, fmt.Errorf("%w: sender %q", errPayload, sender)
	}
	copy(origin[:], id)
	for text := range strings.SplitSeq(rest, " ") {
		h, ok := parseHint(text)
		if !ok {
			return origin, nil, fmt.Errorf("%w: hint %q", errPayload, text)
		}
		hints = append(hints, h)
	}
	return origin, hints, nil
}

// parseHint reads what hint.append wrote.
func parseHint(text string) (h hint, ok bool) {
	if text == "" {
		return h, false
	}
	h.kind, text = text[0], text[1:]
	switch h.kind {
	case kindEverything, kindHello:
		return h, text == ""
	case kindWake, kindReleased:
		id, n, _ := strings.Cut(text, ":")
		return h, parseNumber(id, &h.queueID) && parseNumber(n, &h.n)
	case kindChanged:
		id, rest, _ := strings.Cut(text, ":")
		return h, parseNumber(id, &h.queueID) && parseKey(rest, &h.key)
	case kindSubscriptions:
		return h, parseKey(text, &h.key)
	}
	return h, false
}

// parseKey reads what appendKey wrote.
func parseKey(text string, key *protocol.QueueKey) bool {
	project, name, found := strings.Cut(text, ":")
	return found && unescape(project, &key.Project) && unescape(name, &key.Name)
}

// parseNumber reads a number that is not negative.
func parseNumber(text string, n *int64) bool {
	v, err := strconv.ParseInt(text, 36, 64)
	*n = v
	return err == nil && v >= 0
}

// unescape undoes url.QueryEscape.
func unescape(text string, s *string) bool {
	v, err := url.QueryUnescape(text)
	*s = v
	return err == nil
}
