package gateway

import (
	"sort"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// encoding is a way to write a push: a codec and a dialect, or an event of a stream.
type encoding uint8

// encodings is how many there are.
const encodings = 5

// eventStream is JSON of the extended dialect as an event of a stream (streamevent.go); all others are WebSocket frames.
const eventStream encoding = 4

func encodingOf(codec protocol.Codec, extended bool) encoding {
	e := encoding(codec) & 1
	if extended {
		e |= 2
	}
	return e
}

func (e encoding) codec() protocol.Codec { return protocol.Codec(e & 1) }
func (e encoding) extended() bool        { return e >= 2 }

// encodingSet says which encodings are in use.
type encodingSet [encodings]bool

// frames are the WebSocket frames, or the events, of a chunk's items in one encoding.
type frames struct {
	data []byte
	ends []uint32 // where each item's frame ends in data
}

// chunk is a run of a queue's numbers as frames ready for the socket. It is immutable once built, so that any
// number of sockets may copy from it without a lock.
type chunk struct {
	first, last int64 // the numbers that it covers, inclusive
	// upto holds the last number that each item covers; nil when item i is message first+i, the usual case.
	upto []int64
	// gaps are the items that are no messages, in order.
	gaps   []protocol.Gap
	frames [encodings]*frames
	size   int // bytes of memory, about
	made   time.Time
}

// item returns the index of the first item that covers a number above cursor.
func (c *chunk) item(cursor int64) int {
	if c.upto == nil {
		return int(max(cursor-c.first+1, 0))
	}
	return sort.Search(len(c.upto), func(i int) bool { return c.upto[i] > cursor })
}

// after returns the frames of what lies above cursor, which must be below c.last. When cursor lies inside a
// gap, split is what remains of it, to be told before data. ok is false if the chunk was not built in that encoding.
func (c *chunk) after(e encoding, cursor int64) (split *protocol.Gap, data []byte, ok bool) {
	f := c.frames[e]
	if f == nil {
		return nil, nil, false
	}
	if cursor < c.first {
		return nil, f.data, true
	}
	i := c.item(cursor)
	for _, g := range c.gaps {
		if g.From <= cursor && cursor < g.To {
			return &protocol.Gap{From: cursor + 1, To: g.To, Reason: g.Reason}, f.data[f.ends[i]:], true
		}
	}
	if i > 0 {
		return nil, f.data[f.ends[i-1]:], true
	}
	return nil, f.data, true
}

// find returns the first chunk that covers a number above cursor, nil if there is none.
func find(chunks []*chunk, cursor int64) *chunk {
	i := sort.Search(len(chunks), func(i int) bool { return chunks[i].last > cursor })
	if i == len(chunks) {
		return nil
	}
	return chunks[i]
}

// ring holds a feed's newest chunks, oldest first, without holes between them.
type ring struct {
	chunks []*chunk
	bytes  int
}

func (r *ring) push(c *chunk) {
	r.chunks = append(r.chunks, c)
	r.bytes += c.size
}

// drop forgets the oldest chunk and returns its size.
func (r *ring) drop() int {
	size := r.chunks[0].size
	r.chunks[0] = nil // append would otherwise keep it alive behind the slice's start
	r.chunks = r.chunks[1:]
	if len(r.chunks) == 0 {
		r.chunks = nil
	}
	r.bytes -= size
	return size
}

// clear forgets all chunks and returns their size.
func (r *ring) clear() int {
	size := r.bytes
	*r = ring{}
	return size
}
