package gateway

import (
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// chunkOverhead is about what a chunk costs beside its frames.
const chunkOverhead = 256

// chunker builds chunks of a queue's messages and gaps, each message encoded once per encoding in use.
type chunker struct {
	queue   string
	use     encodingSet
	limit   int // bytes of frames in one encoding after which a new chunk begins
	now     time.Time
	scratch protocol.Writer

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
			b.cur.frames[e] = &frames{}
		}
	}
	return b.cur
}

// message appends message number seq.
func (b *chunker) message(seq int64, id protocol.MessageID, ttl, age int32, body []byte, codec protocol.Codec) {
	c := b.begin(seq)
	for e, f := range c.frames {
		if f == nil {
			continue
		}
		e := encoding(e)
		b.scratch.Reset(e.codec(), b.scratch.Buf[:0])
		protocol.AppendNotification(&b.scratch, b.queue, id, ttl, age, body, codec, e.extended())
		f.append(e, b.scratch.Buf)
	}
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
		protocol.AppendGap(&b.scratch, b.queue, g)
		f.append(e, b.scratch.Buf)
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

// finish returns the chunks.
func (b *chunker) finish() []*chunk {
	if b.cur != nil {
		b.cut()
	}
	return b.done
}

// append adds one frame with its WebSocket header.
func (f *frames) append(e encoding, payload []byte) {
	f.data = appendPush(f.data, e, payload)
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

// chunkPage builds the chunks of a page read behind cursor. A hole that the page does not explain is told as
// consumed: a number that is skipped in silence would break the promise that a subscriber is told.
func chunkPage(b *chunker, page *protocol.FeedPage, cursor int64) []*chunk {
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
		b.message(m.Seq, m.ID, m.TTL, m.Age, m.Body, m.Codec)
		next = m.Seq + 1
	}
	fill(page.Upto)
	return b.finish()
}
