package gateway

import (
	"net/url"
	"time"

	"github.com/nusku-messaging/nusku/gateway/auth"
	"github.com/nusku-messaging/nusku/protocol"
)

// queueShare handles queue_share and topic_share: it makes a signed URL. Whether the queue exists does not matter, as on
// Zaqar: it may be made later.
func (g *Gateway) queueShare(c *call) {
	f := &c.req.Fields
	share := auth.ShareRequest{Paths: f.Paths, Methods: f.Methods}
	if f.Set.Has(protocol.FieldExpires) {
		share.Expires = &f.Expires
	}
	key := c.queue()
	signed, err := auth.Share(g.cfg.Links.key(), queuePath(key), key.Project, share, time.Now())
	if err != nil {
		c.fail(&protocol.Error{Status: 400, Kind: protocol.KindAction, Code: "share", Exception: err.Error()})
		return
	}
	c.answer(200, (*urlShared)(&signed))
}

// queuePath is the path of a queue's or a topic's resource.
func queuePath(key protocol.QueueKey) string {
	if key.IsTopic() {
		return prefix + "topics/" + url.PathEscape(key.ShownName())
	}
	return prefix + "queues/" + url.PathEscape(key.Name)
}

// urlShared is a signed URL. It is alike on both transports.
type urlShared auth.Signed

func (a *urlShared) frame(w *protocol.Writer, _ *call) { a.write(w) }

// resource keeps the signature out of caches.
func (a *urlShared) resource(x *exchange) {
	x.header("Cache-Control", "no-store")
	x.json(200, a.write)
}

func (a *urlShared) write(w *protocol.Writer) {
	w.BeginMap(5)
	for _, list := range []struct {
		key   string
		texts []string
	}{{"paths", a.Paths}, {"methods", a.Methods}} {
		w.Key(list.key)
		w.BeginArray(len(list.texts))
		for _, text := range list.texts {
			w.String(text)
		}
		w.EndArray()
	}
	w.Key("project")
	w.String(a.Project)
	w.Key("expires")
	w.String(auth.FormatExpires(a.Expires))
	w.Key("signature")
	w.String(a.Signature)
	w.EndMap()
}
