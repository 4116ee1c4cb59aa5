package gateway

import "github.com/nusku-messaging/nusku/protocol"

// statsFound are a queue's statistics. To Zaqar's clients delayed messages are free ones, which is what they know; the
// others are told of them apart.
type statsFound struct{ stats protocol.QueueStats }

func (a *statsFound) frame(w *protocol.Writer, c *call) {
	a.write(w, c.extended(), func(m *protocol.Message) { c.gw.writeWholeMessage(w, m, true, c.extended()) })
}

func (a *statsFound) resource(x *exchange) {
	x.json(200, func(w *protocol.Writer) {
		a.write(w, false, func(m *protocol.Message) { x.edgeMessage(w, m) })
	})
}

// statsCount is one number of a queue's statistics.
type statsCount struct {
	key string
	n   int64
}

func (a *statsFound) write(w *protocol.Writer, extended bool, message func(*protocol.Message)) {
	s := &a.stats
	counts := []statsCount{{"claimed", s.Claimed}, {"free", s.Free + s.Delayed}, {"total", s.Total}}
	if extended {
		counts = []statsCount{{"claimed", s.Claimed}, {"delayed", s.Delayed}, {"free", s.Free}, {"total", s.Total}}
	}
	bounds := s.Oldest != nil && s.Newest != nil
	w.BeginMap(1)
	w.Key("messages")
	w.BeginMap(len(counts) + 2*countIf(bounds))
	for _, count := range counts {
		w.Key(count.key)
		w.Int(count.n)
	}
	if bounds {
		w.Key("newest")
		message(s.Newest)
		w.Key("oldest")
		message(s.Oldest)
	}
	w.EndMap()
	w.EndMap()
}

// edgeMessage writes the oldest or the newest message as REST shows it: by its href, without its id.
func (x *exchange) edgeMessage(w *protocol.Writer, m *protocol.Message) {
	checksums := x.gw.cfg.Handlers.Checksum
	w.BeginMap(7 + countIf(checksums))
	x.gw.writeState(w, m)
	w.Key("created")
	w.String(createdText(m))
	if checksums {
		w.Key("checksum")
		w.String(checksum(m.Codec, m.Body))
	}
	w.Key("href")
	w.String(x.messageHref(m, ""))
	w.EndMap()
}
