package protocol

import "strconv"

// CloseCode is the status of a WebSocket close frame (RFC 6455, section 7.4). 1xxx are the protocol's own, 4xxx ours.
type CloseCode uint16

// The codes that the gateway closes sessions with.
const (
	// CloseNormal answers a client's own close.
	CloseNormal CloseCode = 1000
	// CloseGoingAway: the gateway shuts down.
	CloseGoingAway CloseCode = 1001
	// CloseProtocolError: the client broke the WebSocket protocol.
	CloseProtocolError CloseCode = 1002
	// CloseInvalidData: a text frame that is not UTF-8.
	CloseInvalidData CloseCode = 1007
	// ClosePolicy: the client does what a setting forbids.
	ClosePolicy CloseCode = 1008
	// CloseTooBig: a frame larger than the frame limit.
	CloseTooBig CloseCode = 1009
	// CloseInternal: a fault of the gateway.
	CloseInternal CloseCode = 1011
	// CloseTryAgainLater: the gateway has no room for the session.
	CloseTryAgainLater CloseCode = 1013
	// CloseAuthExpired: the token's time is up (Zaqar's own code).
	CloseAuthExpired CloseCode = 4003
	// CloseStalled: the socket took nothing for too long while frames waited for it.
	CloseStalled CloseCode = 4008
	// CloseNoPong: the peer did not answer pings.
	CloseNoPong CloseCode = 4009
)

// closeCodes is what is to know about each code.
var closeCodes = map[CloseCode]struct {
	name, reason string
	reconnect    bool
}{
	CloseNormal:        {"normal", "", false},
	CloseGoingAway:     {"going_away", "Gateway is shutting down.", true},
	CloseProtocolError: {"protocol_error", "Protocol error.", false},
	CloseInvalidData:   {"invalid_data", "Text frame is not UTF-8.", false},
	ClosePolicy:        {"policy", "Not allowed.", false},
	CloseTooBig:        {"too_big", "Frame is too large.", false},
	CloseInternal:      {"internal", "Internal error.", true},
	CloseTryAgainLater: {"try_again_later", "Too many sessions.", true},
	CloseAuthExpired:   {"auth_expired", "Authentication expired.", true},
	CloseStalled:       {"stalled", "Socket made no progress.", true},
	CloseNoPong:        {"no_pong", "Ping timeout.", true},
}

// CloseCodes returns every code that the gateway uses, in no order.
func CloseCodes() []CloseCode {
	codes := make([]CloseCode, 0, len(closeCodes))
	for c := range closeCodes {
		codes = append(codes, c)
	}
	return codes
}

// Name is the code's word for logs and metrics; its number if it is not one of ours.
func (c CloseCode) Name() string {
	if info, ok := closeCodes[c]; ok {
		return info.name
	}
	return strconv.Itoa(int(c))
}

// Reason is the text of the close frame, short enough for a control frame.
func (c CloseCode) Reason() string { return closeCodes[c].reason }

// Reconnect says whether a client that was closed with this code should come back, after a pause: yes for what is not
// its fault, and for codes that it does not know.
func (c CloseCode) Reconnect() bool {
	info, ok := closeCodes[c]
	return !ok || info.reconnect
}
