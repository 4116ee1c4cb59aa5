package gateway

import "github.com/nusku-messaging/nusku/protocol"

// messageFound is one message. In a frame, "messages" is one object, as on Zaqar.
type messageFound protocol.Message

func (a *messageFound) frame(w *protocol.Writer, c *call) {
	w.BeginMap(1)
	w.Key("messages")
	writeMessage(w, (*protocol.Message)(a), "", c.extended())
	w.EndMap()
}

func (a *messageFound) resource(x *exchange) {
	m := (*protocol.Message)(a)
	x.json(200, func(w *protocol.Writer) { x.message(w, m, m.ClaimID) })
}

// messagesFound are the messages of a page, or those of some ids.
type messagesFound struct {
	messages []protocol.Message
	// listed says that they are a page.
	listed bool
}

func (a *messagesFound) frame(w *protocol.Writer, c *call) {
	w.BeginMap(1)
	w.Key("messages")
	writeMessages(w, a.messages, "", c.extended())
	w.EndMap()
}

func (a *messagesFound) resource(x *exchange) {
	if !a.listed {
		x.someMessages(a.messages)
		return
	}
	marker := ""
	if n := len(a.messages); n > 0 {
		marker = a.messages[n-1].ID.String()
	}
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(2)
		w.Key("messages")
		x.messages(w, a.messages, "")
		x.links(w, marker)
		w.EndMap()
	})
}

// someMessages answers with the messages of some ids. None is 404, as on Zaqar.
func (x *exchange) someMessages(messages []protocol.Message) {
	if len(messages) == 0 {
		x.fault(protocol.ErrorMessagesMissing(x.c.queue(), x.c.req.Fields.MessageIDs))
		return
	}
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(1)
		w.Key("messages")
		x.messages(w, messages, "")
		w.EndMap()
	})
}

// messagesPopped are messages that are no longer in their queue.
type messagesPopped []protocol.Message

func (a messagesPopped) frame(w *protocol.Writer, c *call) { a.write(w, c, c.extended()) }

func (a messagesPopped) resource(x *exchange) {
	x.json(200, func(w *protocol.Writer) { a.write(w, x.c, false) })
}

func (a messagesPopped) write(w *protocol.Writer, c *call, extended bool) {
	w.BeginMap(1)
	w.Key("messages")
	w.BeginArray(len(a))
	for i := range a {
		c.gw.writeWholeMessage(w, &a[i], false, extended)
	}
	w.EndArray()
	w.EndMap()
}

func writeMessages(w *protocol.Writer, messages []protocol.Message, claimID string, extended bool) {
	w.BeginArray(len(messages))
	for i := range messages {
		writeMessage(w, &messages[i], claimID, extended)
	}
	w.EndArray()
}

// writeMessage writes a message as the frames of lists and claims show it. Zaqar names the claim only in what a claim
// returns: there claimID is set.
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

// messages writes messages as REST lists them. claimID is the claim that holds all of them, "" to name each one's own.
func (x *exchange) messages(w *protocol.Writer, messages []protocol.Message, claimID string) {
	w.BeginArray(len(messages))
	for i := range messages {
		id := claimID
		if id == "" {
			id = messages[i].ClaimID
		}
		x.message(w, &messages[i], id)
	}
	w.EndArray()
}

// message writes a message as REST shows it. It holds no other keys: python-zaqarclient fails on what it does not know.
func (x *exchange) message(w *protocol.Writer, m *protocol.Message, claimID string) {
	checksums := x.gw.cfg.Handlers.Checksum
	w.BeginMap(5 + countIf(checksums))
	w.Key("id")
	w.MessageID(m.ID)
	w.Key("href")
	w.String(x.messageHref(m, claimID))
	w.Key("ttl")
	w.Int(int64(m.TTL))
	w.Key("age")
	w.Int(int64(m.Age))
	w.Key("body")
	w.Raw(m.Codec, m.Body)
	if checksums {
		w.Key("checksum")
		w.String(checksum(m.Codec, m.Body))
	}
	w.EndMap()
}

// messageHref is the path of a message. Clients parse the claim out of it.
func (x *exchange) messageHref(m *protocol.Message, claimID string) string {
	href := x.queueHref("messages", m.ID.String())
	if claimID != "" {
		href += "?claim_id=" + claimID
	}
	return href
}

// writeWholeMessage writes a message as pop and the statistics show it.
func (g *Gateway) writeWholeMessage(w *protocol.Writer, m *protocol.Message, created, extended bool) {
	origin := extended && m.Origin != nil
	w.BeginMap(6 + countIf(created) + countIf(g.cfg.Handlers.Checksum) + countIf(origin))
	w.Key("id")
	w.MessageID(m.ID)
	g.writeState(w, m)
	if created {
		w.Key("created")
		w.String(createdText(m))
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

// writeState writes the five members that say what a message is and how it stands.
func (g *Gateway) writeState(w *protocol.Writer, m *protocol.Message) {
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
}

func createdText(m *protocol.Message) string { return m.Created.UTC().Format("2006-01-02T15:04:05Z") }

func writeClaimID(w *protocol.Writer, id string) {
	if id == "" {
		w.Null()
		return
	}
	w.String(id)
}
