package gateway

import "github.com/nusku-messaging/nusku/protocol"

// answer is what an action found or did. It writes itself for either transport, so that no action can exist on one of
// them only.
//
// Handlers hand it to call.answer, which has it write itself before it returns: an answer may point into what its
// handler holds. The hot actions convert the call itself, so that their answers allocate nothing.
type answer interface {
	// frame writes the value of a reply frame's "body".
	frame(w *protocol.Writer, c *call)
	// resource makes the HTTP response: exactly one of json and empty, and any header.
	resource(x *exchange)
}

// answer answers the call. status is the reply frame's; the HTTP response has its own, which a says.
func (c *call) answer(status int, a answer) { c.answerThen(status, a, nil) }
