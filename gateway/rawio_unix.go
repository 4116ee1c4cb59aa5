//go:build unix

package gateway

import (
	"io"
	"net"
	"syscall"
)

// open makes r work on c, if c is a TCP or Unix socket.
func (r *rawIO) open(c net.Conn) {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	r.conn, r.onReadable, r.onWritable = raw, r.readable, r.writable
}

func (r *rawIO) usable() bool { return r.conn != nil }

// read waits for input and reads it into p.
func (r *rawIO) read(p []byte) (int, error) {
	r.target = p
	err := r.conn.Read(r.onReadable)
	r.target = nil
	if err == nil {
		err = r.readErr
	}
	return r.readN, err
}

// readPooled waits for input and reads it into a buffer that it takes when the input is there.
func (r *rawIO) readPooled() (*buffer, error) {
	_, err := r.read(nil)
	buf := r.pooled
	r.pooled = nil
	if err != nil {
		buf.free()
		return nil, err
	}
	return buf, nil
}

// readable reads what is there; false asks to be called again when something is.
func (r *rawIO) readable(fd uintptr) bool {
	p := r.target
	if p == nil {
		if r.pooled == nil {
			r.pooled = newBuffer(inputSize)
		}
		p = r.pooled.b[:inputSize]
	}
	var n int
	var err error
	for n, err = syscall.Read(int(fd), p); err == syscall.EINTR; n, err = syscall.Read(int(fd), p) {
	}
	if err == syscall.EAGAIN {
		r.pooled.free()
		r.pooled = nil
		return false
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	r.readN, r.readErr = max(n, 0), err
	if r.pooled != nil {
		r.pooled.b = r.pooled.b[:r.readN]
	}
	return true
}

// tryWrite writes what the socket takes without waiting.
func (r *rawIO) tryWrite(p []byte) int {
	r.source, r.writtenN = p, 0
	_ = r.conn.Write(r.onWritable)
	r.source = nil
	return r.writtenN
}

// writable writes once; it never asks to be called again.
func (r *rawIO) writable(fd uintptr) bool {
	if n, err := syscall.Write(int(fd), r.source); err == nil {
		r.writtenN = n
	}
	return true
}
