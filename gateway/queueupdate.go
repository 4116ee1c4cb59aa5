package gateway

import (
	"github.com/nusku-messaging/nusku/protocol"
)

// queueUpdate handles queue_update and topic_update: a JSON patch on the metadata, which is made as a whole or not at
// all. REST clients may say with If-Match which metadata they mean.
func (g *Gateway) queueUpdate(c *call) {
	q, err := g.backend.UpdateQueue(c.context(), c.key(), func(metadata []byte) ([]byte, error) {
		if e := c.unexpected(metadata); e != nil {
			return nil, e
		}
		patched, e := protocol.ApplyPatch(metadata, c.req.Fields.Patch, &g.cfg.Limits)
		if e != nil {
			return nil, e
		}
		return patched, nil
	})
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, queueFound{q.Metadata})
}
