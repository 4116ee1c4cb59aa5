package gateway

import (
	"strconv"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// The types of the events of a stream (WHATWG HTML, section 9.2).
const (
	eventMessage = "message"
	eventGap     = "gap"
)

// appendEvent appends an event. marker, unless it is zero, is what the client sends as Last-Event-ID when it comes back.
func appendEvent(dst []byte, event string, marker protocol.MessageID, payload []byte) []byte {
	if !marker.IsZero() {
		dst = append(dst, "id: "...)
		dst, _ = marker.AppendText(dst) // never fails
		dst = append(dst, '\n')
	}
	dst = append(append(dst, "event: "...), event...)
	dst = append(dst, "\ndata: "...)
	start := len(dst)
	dst = append(dst, payload...)
	for i, c := range dst[start:] {
		// A body is the client's bytes. Outside of its strings, where alone JSON has line ends, a space is as good as these,
		// which would end the data.
		if c == '\n' || c == '\r' {
			dst[start+i] = ' '
		}
	}
	return append(dst, "\n\n"...)
}

// appendStart appends what sets the client's marker before there is an event, and how soon it may come back.
func appendStart(dst []byte, marker string, retry time.Duration) []byte {
	dst = append(append(dst, "id: "...), marker...)
	dst = append(dst, '\n')
	return appendRetry(dst, retry)
}

func appendRetry(dst []byte, retry time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, retry.Milliseconds(), 10)
	return append(dst, "\n\n"...)
}

// heartbeat is a comment: it says that the stream lives.
var heartbeat = []byte(":\n\n")
