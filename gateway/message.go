package gateway

import (
	"errors"

	"github.com/nusku-messaging/nusku/protocol"
)

// messagePost handles message_post. It answers once the messages are committed.
func (g *Gateway) messagePost(c *call) {
	c.post.Queue = c.key()
	c.post.ClientID = c.req.ClientUUID
	c.post.Messages = c.req.Fields.Messages
	c.post.Deadline = c.deadline()
	c.post.Waiter = c
	c.finish = finishPost
	g.backend.Post(&c.post)
}

func finishPost(c *call) {
	switch {
	case errors.Is(c.post.Err, protocol.ErrPostTooLarge):
		// The answer names the queue's limit, which has to be read: not on the store's goroutine.
		c.handler = explainPostLimit
		c.sess.block(c)
		return
	case c.post.Err != nil:
		c.fail(c.sess.gw.wireError(c, c.post.Err))
		return
	}
	c.reply(201, func(w *protocol.Writer) {
		w.BeginMap(1)
		w.Key("message_ids")
		w.BeginArray(len(c.post.IDs))
		for _, id := range c.post.IDs {
			w.MessageID(id)
		}
		w.EndArray()
		w.EndMap()
	})
}

var explainPostLimit = &handler{blocking: true, run: func(g *Gateway, c *call) {
	q, err := g.backend.Queue(c.context(), c.key())
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	settings, fault := protocol.CheckMetadata(q.Metadata, &g.cfg.Limits)
	if fault != nil || settings.MaxPostBytes == 0 {
		c.fail(g.wireError(c, protocol.ErrPostTooLarge)) // the limit has changed meanwhile
		return
	}
	c.fail(protocol.ErrorPostTooLargeForQueue(settings.MaxPostBytes, g.cfg.Limits.MaxPostBytes))
}}

// oversizePost is the variant of messagePost for posts above the limit: they are refused, but make their queue.
func oversizePost(c *call) *handler {
	if c.req.PostTooLarge(&c.sess.gw.cfg.Limits) == nil {
		return nil
	}
	return refusePost
}

var refusePost = &handler{blocking: true, run: func(g *Gateway, c *call) {
	if _, err := g.backend.CreateQueue(c.context(), c.key(), nil); err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.fail(c.req.PostTooLarge(&g.cfg.Limits))
}}

// messageList handles message_list.
func (g *Gateway) messageList(c *call) {
	f := &c.req.Fields
	marker := f.Marker
	if marker == markerBeginning {
		marker = ""
	}
	messages, err := g.backend.Messages(c.context(), c.key(), protocol.MessagePage{
		Marker: marker, Limit: f.Limit, Echo: f.Echo, ClientID: c.req.ClientUUID,
		IncludeClaimed: f.IncludeClaimed, IncludeDelayed: f.IncludeDelayed,
	})
	g.replyMessages(c, messages, err)
}

// messageGet handles message_get. Its body's "messages" is one object, as on Zaqar.
func (g *Gateway) messageGet(c *call) {
	m, err := g.backend.Message(c.context(), c.key(), c.req.Fields.MessageID)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.reply(200, func(w *protocol.Writer) {
		w.BeginMap(1)
		w.Key("messages")
		writeMessage(w, m, "", c.extended())
		w.EndMap()
	})
}

// messageGetMany handles message_get_many. Messages that do not exist are left out.
func (g *Gateway) messageGetMany(c *call) {
	messages, err := g.backend.MessagesByID(c.context(), c.key(), c.req.Fields.MessageIDs)
	g.replyMessages(c, messages, err)
}

func (g *Gateway) replyMessages(c *call, messages []protocol.Message, err error) {
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	if !c.roomFor(messages) {
		c.fail(overloaded())
		return
	}
	c.reply(200, func(w *protocol.Writer) {
		w.BeginMap(1)
		w.Key("messages")
		writeMessages(w, messages, "", c.extended())
		w.EndMap()
	})
}

// messageDelete handles message_delete. A message that does not exist is deleted already.
func (g *Gateway) messageDelete(c *call) {
	f := &c.req.Fields
	c.del.Fenced = true
	if f.Set.Has(protocol.FieldClaimID) {
		c.del.ClaimIDs = append(c.del.ClaimIDs[:0], f.ClaimID)
	}
	g.deleteMessages(c, f.MessageID)
}

// messageDeleteMany handles message_delete_many by ids. Claims do not matter to it, as on Zaqar, unless the limits say
// so.
func (g *Gateway) messageDeleteMany(c *call) {
	f := &c.req.Fields
	c.del.Fenced = g.cfg.Limits.MessageDeleteWithClaimID
	c.del.ClaimIDs = append(c.del.ClaimIDs[:0], f.ClaimIDs...)
	g.deleteMessages(c, f.MessageIDs...)
}

// deleteMessages hands the deletion to the store. What is no message's id names no message.
func (g *Gateway) deleteMessages(c *call, ids ...string) {
	c.del.IDs = c.del.IDs[:0]
	for _, text := range ids {
		if id, err := protocol.ParseMessageID(text); err == nil {
			c.del.IDs = append(c.del.IDs, id)
		}
	}
	if len(c.del.IDs) == 0 {
		c.reply(204, emptyBody)
		return
	}
	c.del.Queue = c.key()
	c.del.Deadline = c.deadline()
	c.del.Waiter = c
	c.finish = finishDelete
	g.backend.Delete(&c.del)
}

func finishDelete(c *call) {
	if c.del.Err != nil {
		c.fail(c.sess.gw.wireError(c, c.del.Err))
		return
	}
	c.reply(204, emptyBody)
}

// pop is the variant of messageDeleteMany that takes messages from the queue's head.
func pop(c *call) *handler {
	if !c.req.Fields.Set.Has(protocol.FieldPop) {
		return nil
	}
	return popMessages
}

var popMessages = &handler{blocking: true, run: func(g *Gateway, c *call) {
	messages, err := g.backend.PopMessages(c.context(), c.key(), c.req.Fields.Pop)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.reply(200, func(w *protocol.Writer) {
		w.BeginMap(1)
		w.Key("messages")
		w.BeginArray(len(messages))
		for i := range messages {
			g.writeWholeMessage(w, &messages[i], false, c.extended())
		}
		w.EndArray()
		w.EndMap()
	})
}}

// extended says whether the reply may hold more than Zaqar's clients know: some of them fail on keys that they do not
// expect.
func (c *call) extended() bool { return c.req.ID != nil || c.sess.extended }

func writeMessages(w *protocol.Writer, messages []protocol.Message, claimID string, extended bool) {
	w.BeginArray(len(messages))
	for i := range messages {
		writeMessage(w, &messages[i], claimID, extended)
	}
	w.EndArray()
}

// writeMessage writes a message as lists and claims show it. Zaqar names the claim only in what a claim returns: there
// claimID is set.
func writeMessage(w *protocol.Writer, m *protocol.Message, claimID string, extended bool) {
	n := 5
	if extended && m.Origin != nil {
		n = 7
	}
	w.BeginMap(n)
	w.Key("id")
	w.MessageID(m.ID)
	w.Key("claim_id")
	writeClaimID(w, claimID)
	w.Key("ttl")
	w.Int(int64(m.TTL))
	w.Key("age")
	w.Int(int64(m.Age))
	w.Key("body")
	w.Raw(m.Codec, m.Body)
	if n == 7 {
		w.Key("claim_count")
		w.Int(int64(m.ClaimCount))
		w.Key("origin")
		w.RawJSON(m.Origin)
	}
	w.EndMap()
}

// writeWholeMessage writes a message as pop and the statistics show it.
func (g *Gateway) writeWholeMessage(w *protocol.Writer, m *protocol.Message, created, extended bool) {
	origin := extended && m.Origin != nil
	n := 6
	for _, more := range []bool{created, g.cfg.Handlers.Checksum, origin} {
		if more {
			n++
		}
	}
	w.BeginMap(n)
	w.Key("id")
	w.MessageID(m.ID)
	w.Key("age")
	w.Int(int64(m.Age))
	w.Key("ttl")
	w.Int(int64(m.TTL))
	w.Key("body")
	w.Raw(m.Codec, m.Body)
	w.Key("claim_id")
	writeClaimID(w, m.ClaimID)
	w.Key("claim_count")
	w.Int(int64(m.ClaimCount))
	if created {
		w.Key("created")
		w.String(m.Created.UTC().Format("2006-01-02T15:04:05Z"))
	}
	if g.cfg.Handlers.Checksum {
		w.Key("checksum")
		w.String(checksum(m.Codec, m.Body))
	}
	if origin {
		w.Key("origin")
		w.RawJSON(m.Origin)
	}
	w.EndMap()
}

func writeClaimID(w *protocol.Writer, id string) {
	if id == "" {
		w.Null()
		return
	}
	w.String(id)
}
