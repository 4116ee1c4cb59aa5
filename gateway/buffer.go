package gateway

import (
	"math/bits"
	"sync"
)

// buffer is pooled memory: what a session reads into and writes from. An idle session holds none.
type buffer struct {
	b []byte
}

// Buffers come in sizes of 1 KiB times powers of two, so that a frame is held by at most twice its size.
const (
	smallestBuffer = 1 << 10
	bufferClasses  = 11 // up to 1 MiB; larger ones are made and left to the collector
)

var bufferPools [bufferClasses]sync.Pool

// bufferClass returns the smallest class that holds n bytes; bufferClasses or more if none does.
func bufferClass(n int) int {
	if n <= smallestBuffer {
		return 0
	}
	return bits.Len(uint(n-1) >> 10)
}

// newBuffer returns an empty buffer with a capacity of at least n bytes.
func newBuffer(n int) *buffer {
	class := bufferClass(n)
	if class >= bufferClasses {
		return &buffer{b: make([]byte, 0, n)}
	}
	if buf, ok := bufferPools[class].Get().(*buffer); ok {
		return buf
	}
	return &buffer{b: make([]byte, 0, smallestBuffer<<class)}
}

// free gives the buffer back. A nil buffer is fine. A buffer whose memory was appended beyond its capacity, and so
// replaced, goes to the pool of the class below its new size, cut to that: sizes in between would make the limits on
// frames that are being read a matter of luck.
func (buf *buffer) free() {
	if buf == nil {
		return
	}
	n := cap(buf.b)
	if n < smallestBuffer || n > smallestBuffer<<(bufferClasses-1) {
		return
	}
	class := bufferClass(n)
	if smallestBuffer<<class > n {
		class-- // what is in a pool has at least the size of its class
	}
	buf.b = buf.b[: 0 : smallestBuffer<<class]
	bufferPools[class].Put(buf)
}

// grow moves the content to a buffer of the next larger class that has room for n bytes in all.
func (buf *buffer) grow(n int) *buffer {
	larger := newBuffer(max(n, cap(buf.b)+1))
	larger.b = append(larger.b, buf.b...)
	buf.free()
	return larger
}
