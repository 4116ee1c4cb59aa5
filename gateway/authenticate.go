package gateway

import (
	"strings"

	"github.com/nusku-messaging/nusku/protocol"
)

// authenticate handles authenticate. Authentication is off, so any token is good; the frame's Client-ID and
// X-Project-ID are filled into the session's later frames that lack them.
func (g *Gateway) authenticate(c *call) {
	// The frame's memory is reused; the session's defaults stay.
	if c.req.ClientID != "" {
		c.sess.defaults.ClientID = strings.Clone(c.req.ClientID)
	}
	c.sess.defaults.ProjectID = strings.Clone(c.req.ProjectID)
	c.answer(200, authenticated{})
}

type authenticated struct{}

func (authenticated) frame(w *protocol.Writer, _ *call) {
	w.BeginMap(1)
	w.Key("message")
	w.String("Authentified.")
	w.EndMap()
}

// resource is never asked for: a request carries its own credentials, so no route leads here.
func (authenticated) resource(x *exchange) { x.empty(204) }
