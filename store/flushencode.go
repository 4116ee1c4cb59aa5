package store

import (
	"encoding/binary"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/nusku-messaging/nusku/protocol"
)

// arrayBuf builds a one-dimensional array in PostgreSQL's binary format. Its memory is reused.
type arrayBuf struct {
	buf []byte
	n   uint32
}

// arrayHeader is dimensions, null flag, element type, size, lower bound.
const arrayHeader = 20

func (a *arrayBuf) reset(elem uint32) {
	a.n = 0
	a.buf = binary.BigEndian.AppendUint32(a.buf[:0], 1)
	a.buf = binary.BigEndian.AppendUint32(a.buf, 0)
	a.buf = binary.BigEndian.AppendUint32(a.buf, elem)
	a.buf = binary.BigEndian.AppendUint32(a.buf, 0)
	a.buf = binary.BigEndian.AppendUint32(a.buf, 1)
}

// value returns the array; it must have an element.
func (a *arrayBuf) value() []byte {
	binary.BigEndian.PutUint32(a.buf[12:], a.n)
	return a.buf
}

func (a *arrayBuf) int8(v int64) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, 8)
	a.buf = binary.BigEndian.AppendUint64(a.buf, uint64(v))
}

func (a *arrayBuf) int4(v int32) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, 4)
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(v))
}

func (a *arrayBuf) int2(v int16) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, 2)
	a.buf = binary.BigEndian.AppendUint16(a.buf, uint16(v))
}

func (a *arrayBuf) bytes(v []byte) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(v)))
	a.buf = append(a.buf, v...)
}

func (a *arrayBuf) null() {
	a.n++
	a.buf[7] = 1
	a.buf = append(a.buf, 0xff, 0xff, 0xff, 0xff)
}

// encoder turns parts into parameters. What it returns is valid until its next use.
type encoder struct {
	values  [][]byte
	queues  arrayBuf // per queue
	counts  arrayBuf
	queue   arrayBuf // per message
	ordinal arrayBuf
	delay   arrayBuf
	ttl     arrayBuf
	client  arrayBuf
	codec   arrayBuf
	body    arrayBuf
	scalars [16]byte
	slot    int64 // of queue_count
}

func (e *encoder) resetMessages() {
	e.queue.reset(pgtype.Int8OID)
	e.ordinal.reset(pgtype.Int8OID)
	e.delay.reset(pgtype.Int4OID)
	e.ttl.reset(pgtype.Int4OID)
	e.client.reset(pgtype.UUIDOID)
	e.codec.reset(pgtype.Int2OID)
	e.body.reset(pgtype.ByteaOID)
}

// messages adds a part's messages, either those that are delayed or those that are not.
func (e *encoder) messages(pt *part, delayed bool) {
	var ordinal int64
	for i := range pt.posts {
		post := pt.posts[i].post
		for j := range post.Messages {
			m := &post.Messages[j]
			delay, ttl := pt.info.times(m)
			if delay > 0 != delayed {
				continue
			}
			e.message(pt.info.id, ordinal, delay, ttl, post.ClientID, m)
			ordinal++
		}
	}
}

func (e *encoder) message(queue, ordinal int64, delay, ttl int32, client uuid.UUID, m *protocol.NewMessage) {
	e.queue.int8(queue)
	e.ordinal.int8(ordinal)
	e.delay.int4(delay)
	e.ttl.int4(ttl)
	if client == uuid.Nil {
		e.client.null()
	} else {
		e.client.bytes(client[:])
	}
	e.codec.int2(int16(m.Codec))
	e.body.bytes(m.Body)
}

// scalar returns the i-th scalar parameter, of two.
func (e *encoder) scalar(i int, v int64) []byte {
	b := e.scalars[i*8 : i*8+8]
	binary.BigEndian.PutUint64(b, uint64(v))
	return b
}

func (e *encoder) postOne(pt *part) [][]byte {
	e.resetMessages()
	e.messages(pt, false)
	e.values = append(e.values[:0], e.scalar(0, pt.info.id), e.scalar(1, int64(pt.numbered)),
		e.ttl.value(), e.client.value(), e.codec.value(), e.body.value())
	return e.values
}

func (e *encoder) delayOne(pt *part) [][]byte {
	e.resetMessages()
	e.messages(pt, true)
	e.values = append(e.values[:0], e.scalar(0, pt.info.id),
		e.delay.value(), e.ttl.value(), e.client.value(), e.codec.value(), e.body.value(), e.scalar(1, e.slot))
	return e.values
}

func (e *encoder) lockMany(parts []*part) [][]byte {
	e.queues.reset(pgtype.Int8OID)
	for _, pt := range parts {
		e.queues.int8(pt.info.id)
	}
	e.values = append(e.values[:0], e.queues.value())
	return e.values
}

func (e *encoder) postMany(parts []*part) [][]byte {
	e.queues.reset(pgtype.Int8OID)
	e.counts.reset(pgtype.Int8OID)
	e.resetMessages()
	for _, pt := range parts {
		if pt.numbered > 0 {
			e.queues.int8(pt.info.id)
			e.counts.int8(int64(pt.numbered))
			e.messages(pt, false)
		}
	}
	e.values = append(e.values[:0], e.queues.value(), e.counts.value(), e.queue.value(), e.ordinal.value(),
		e.ttl.value(), e.client.value(), e.codec.value(), e.body.value())
	return e.values
}

func (e *encoder) delayMany(parts []*part) [][]byte {
	e.resetMessages()
	for _, pt := range parts {
		if pt.delayed > 0 {
			e.messages(pt, true)
		}
	}
	e.values = append(e.values[:0], e.queue.value(), e.delay.value(), e.ttl.value(),
		e.client.value(), e.codec.value(), e.body.value(), e.scalar(0, e.slot))
	return e.values
}
