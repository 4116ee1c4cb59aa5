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
		c.peer.block(c)
	case c.post.Err != nil:
		c.fail(c.gw.wireError(c, c.post.Err))
	default:
		c.answer(201, (*postAnswer)(c))
	}
}

// postAnswer is a call whose post is committed.
type postAnswer call

func (a *postAnswer) frame(w *protocol.Writer, _ *call) {
	w.BeginMap(1)
	w.Key("message_ids")
	w.BeginArray(len(a.post.IDs))
	for _, id := range a.post.IDs {
		w.MessageID(id)
	}
	w.EndArray()
	w.EndMap()
}

func (a *postAnswer) resource(x *exchange) {
	path := x.path()
	location := make([]byte, 0, len(path)+len("?ids=")+32*len(a.post.IDs))
	location = append(append(location, path...), "?ids="...)
	x.json(201, func(w *protocol.Writer) {
		w.BeginMap(1)
		w.Key("resources")
		w.BeginArray(len(a.post.IDs))
		for i, id := range a.post.IDs {
			if i > 0 {
				location = append(location, ',')
			}
			text := id.String()
			location = append(location, text...)
			w.String(path + "/" + text)
		}
		w.EndArray()
		w.EndMap()
	})
	// A header that is too long is refused by proxies, and then the client would not know that all went well.
	if len(location) <= maxLocation {
		x.header("Location", string(location))
	} else {
		x.header("Location", path)
	}
}

// maxLocation is how long a Location header may be. Bytes.
const maxLocation = 4 << 10

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
	if c.req.PostTooLarge(&c.gw.cfg.Limits) == nil {
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
	page := protocol.MessagePage{
		Marker: f.Marker, Limit: f.Limit, Echo: f.Echo, ClientID: c.req.ClientUUID,
		IncludeClaimed: f.IncludeClaimed, IncludeDelayed: f.IncludeDelayed,
	}
	if page.Marker == markerBeginning {
		page.Marker = ""
	}
	var messages []protocol.Message
	var err error
	if c.mayWait() {
		var parked bool
		if messages, parked, err = g.listWaiting(c, page); parked {
			return
		}
	} else {
		messages, err = g.backend.Messages(c.context(), c.key(), page)
	}
	g.answerMessages(c, err, &messagesFound{messages: messages, listed: true})
}

// messageGet handles message_get.
func (g *Gateway) messageGet(c *call) {
	m, err := g.backend.Message(c.context(), c.key(), c.req.Fields.MessageID)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, (*messageFound)(m))
}

// messageGetMany handles message_get_many. Messages that do not exist are left out.
func (g *Gateway) messageGetMany(c *call) {
	messages, err := g.backend.MessagesByID(c.context(), c.key(), c.req.Fields.MessageIDs)
	g.answerMessages(c, err, &messagesFound{messages: messages})
}

func (g *Gateway) answerMessages(c *call, err error, a *messagesFound) {
	switch {
	case err != nil:
		c.fail(g.wireError(c, err))
	case !c.roomFor(a.messages):
		c.fail(overloaded())
	default:
		c.answer(200, a)
	}
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
		c.answer(204, done{})
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
		c.fail(c.gw.wireError(c, c.del.Err))
		return
	}
	c.answer(204, done{})
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
	c.answer(200, messagesPopped(messages))
}}

// extended says whether the reply may hold more than Zaqar's clients know: some of them fail on keys that they do not
// expect.
func (c *call) extended() bool { return c.req.ID != nil || c.sess != nil && c.sess.extended }
