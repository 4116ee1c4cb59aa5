package gateway

import (
	"sync"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// chunkOverhead is about what a chunk costs beside its frames.
const chunkOverhead = 256

// chunker builds chunks of a queue's messages and gaps, each message encoded once per encoding in use.
type chunker struct {
	queue   string
	queueID int64
	use     encodingSet
	limit   int // bytes of frames in one encoding after which a new chunk begins
	now     time.Time
	scratch *protocol.Writer
	// items and bytes are how many messages are to come, and their bodies' size: what to make room for.
	items, bytes int

	cur  *chunk
	done []*chunk
}

// begin starts a chunk whose first number is first, unless one is open.
func (b *chunker) begin(first int64) *chunk {
	if b.cur != nil {
		return b.cur
	}
	b.cur = &chunk{first: first, made: b.now, size: chunkOverhead}
	for e, used := range b.use {
		if used {
			b.cur.frames[e] = &frames{
				data: make([]byte, 0, min(b.bytes+b.items*frameOverhead, b.limit+b.limit/8)),
				ends: make([]uint32, 0, b.items),
			}
		}
	}
	return b.cur
}

// frameOverhead is about what a push has beside the message's body.
const frameOverhead = 96

// message appends message number seq.
func (b *chunker) message(seq int64, m *protocol.Message) {
	c := b.begin(seq)
	for e, f := range c.frames {
		if f == nil {
			continue
		}
		e := encoding(e)
		b.scratch.Reset(e.codec(), b.scratch.Buf[:0])
		protocol.AppendNotification(b.scratch, b.queue, m, e.extended())
		f.append(e, b.scratch.Buf, eventMessage, protocol.MessageID{Queue: b.queueID, N: seq})
	}
	b.items--
	b.bytes -= len(m.Body)
	b.end(seq, c.upto != nil)
}

// gap appends a gap.
func (b *chunker) gap(g protocol.Gap) {
	c := b.begin(g.From)
	if c.upto == nil {
		c.upto = make([]int64, 0, 16)
		for seq := c.first; seq < g.From; seq++ {
			c.upto = append(c.upto, seq)
		}
	}
	c.gaps = append(c.gaps, g)
	for e, f := range c.frames {
		if f == nil {
			continue
		}
		e := encoding(e)
		b.scratch.Reset(e.codec(), b.scratch.Buf[:0])
		protocol.AppendGap(b.scratch, b.queue, g)
		f.append(e, b.scratch.Buf, eventGap, protocol.MessageID{Queue: b.queueID, N: g.To})
	}
	b.end(g.To, true)
}

// end closes an item, and the chunk too when it is large enough.
func (b *chunker) end(last int64, uneven bool) {
	c := b.cur
	c.last = last
	if uneven {
		c.upto = append(c.upto, last)
	}
	for _, f := range c.frames {
		if f != nil && len(f.data) >= b.limit {
			b.cut()
			return
		}
	}
}

func (b *chunker) cut() {
	c := b.cur
	for _, f := range c.frames {
		if f != nil {
			c.size += cap(f.data) + 4*cap(f.ends)
		}
	}
	c.size += 8*cap(c.upto) + 40*cap(c.gaps)
	b.done = append(b.done, c)
	b.cur = nil
}

// finish returns the chunks. The chunker must not be used any more.
func (b *chunker) finish() []*chunk {
	if b.cur != nil {
		b.cut()
	}
	if cap(b.scratch.Buf) <= maxKept {
		scratchPool.Put(b.scratch)
	}
	b.scratch = nil
	return b.done
}

// scratchPool holds the writers in which chunkers encode one payload after the other.
var scratchPool = sync.Pool{New: func() any { return new(protocol.Writer) }}

// chunker returns a chunker for so many messages of a queue, whose bodies have so many bytes.
func (h *hub) chunker(key protocol.QueueKey, use encodingSet, items, bytes int) *chunker {
	return &chunker{
		queue: key.ShownName(), use: use, limit: h.cfg.ChunkBytes, now: time.Now(),
		scratch: scratchPool.Get().(*protocol.Writer), items: items, bytes: bytes,
	}
}

// chunkCommit builds the chunks of what a flush stored.
func (h *hub) chunkCommit(c *protocol.Committed, use encodingSet) []*chunk {
	bytes := 0
	for i := range c.Messages {
		bytes += len(c.Messages[i].Body)
	}
	b := h.chunker(c.Queue, use, len(c.Messages), bytes)
	b.queueID = c.QueueID
	var m protocol.Message
	for i := range c.Messages {
		posted := &c.Messages[i]
		m.ID, m.TTL, m.Body, m.Codec = c.IDs[i], posted.TTL, posted.Body, posted.Codec
		if c.Origins != nil {
			m.Origin = c.Origins[i]
		}
		b.message(c.First+int64(i), &m)
	}
	return b.finish()
}

// chunkPage builds the chunks of a page read behind cursor.
func (h *hub) chunkPage(key protocol.QueueKey, use encodingSet, page *protocol.FeedPage, cursor int64) []*chunk {
	bytes := 0
	for i := range page.Messages {
		bytes += len(page.Messages[i].Body)
	}
	b := h.chunker(key, use, len(page.Messages), bytes)
	b.queueID = page.Head.QueueID
	b.page(page, cursor)
	return b.finish()
}

// append adds one frame with its WebSocket header, or one event with the marker behind it.
func (f *frames) append(e encoding, payload []byte, event string, marker protocol.MessageID) {
	if e == eventStream {
		f.data = appendEvent(f.data, event, marker, payload)
	} else {
		f.data = appendPush(f.data, e, payload)
	}
	f.ends = append(f.ends, uint32(len(f.data)))
}

// appendPush appends payload as one WebSocket frame.
func appendPush(dst []byte, e encoding, payload []byte) []byte {
	opcode := opText
	if e.codec() == protocol.MessagePack {
		opcode = opBinary
	}
	dst = appendWSHeader(dst, opcode, len(payload))
	return append(dst, payload...)
}

// appendGap appends the frame of a gap.
func appendGap(dst []byte, e encoding, queue string, g protocol.Gap) []byte {
	w := protocol.Writer{Codec: e.codec()}
	protocol.AppendGap(&w, queue, g)
	return appendPush(dst, e, w.Buf)
}

// page appends a page read behind cursor. A hole that the page does not explain is told as consumed: a number that is
// skipped in silence would break the promise that a subscriber is told.
func (b *chunker) page(page *protocol.FeedPage, cursor int64) {
	gaps := page.Gaps
	next := cursor + 1
	// fill tells of the numbers [next, upto], which no message has.
	fill := func(upto int64) {
		for next <= upto {
			for len(gaps) > 0 && gaps[0].To < next {
				gaps = gaps[1:]
			}
			g := protocol.Gap{From: next, To: upto, Reason: protocol.GapConsumed}
			if len(gaps) > 0 {
				if gaps[0].From > next {
					g.To = min(upto, gaps[0].From-1)
				} else {
					g.To, g.Reason = min(upto, gaps[0].To), gaps[0].Reason
				}
			}
			b.gap(g)
			next = g.To + 1
		}
	}
	for i := range page.Messages {
		m := &page.Messages[i]
		if m.Seq < next {
			continue
		}
		fill(m.Seq - 1)
		b.message(m.Seq, m)
		next = m.Seq + 1
	}
	fill(page.Upto)
}
