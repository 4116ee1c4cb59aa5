package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// conn is one session of the load generator.
type conn struct {
	fd       int
	index    int
	clientID string
	in       []byte // the start of a frame whose rest is to come
	out      []byte // what the socket has not taken yet
	dirty    bool   // waits to be flushed
	blocked  bool   // waits for the socket to be writable

	// onFrame is called with each data frame, whose memory is valid during the call.
	onFrame func(payload []byte) error

	// What a run keeps per session.
	sent  []int64 // by slot: when the request left
	order []int   // slots in the order sent, of the Zaqar dialect
	next  int64   // the number that the next push must have
	queue int
}

// stallAfter is how long nothing may come while a run waits.
const stallAfter = 30 * time.Second

// loop drives many connections from one goroutine.
type loop struct {
	epoll  int
	timer  int // timerfd, -1 without
	onTime func(expirations int64) error
	conns  []*conn
	dirty  []*conn
	buffer []byte
	start  time.Time
	// now is nanoseconds since start, as of the newest read.
	now    int64
	events [256]unix.EpollEvent
}

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &loop{epoll: epoll, timer: -1, buffer: make([]byte, 256<<10), start: time.Now()}, nil
}

// close closes every connection.
func (l *loop) close() {
	for _, c := range l.conns {
		_ = unix.Close(c.fd)
	}
	if l.timer >= 0 {
		_ = unix.Close(l.timer)
	}
	_ = unix.Close(l.epoll)
}

// add makes the loop drive c.
func (l *loop) add(c *conn) error {
	c.index = len(l.conns)
	l.conns = append(l.conns, c)
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.index)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, c.fd, &event); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// every calls f each period, with how often it was due since the last call. It replaces an earlier one.
func (l *loop) every(period time.Duration, f func(expirations int64) error) error {
	if l.timer < 0 {
		fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
		if err != nil {
			return fmt.Errorf("timer: %w", err)
		}
		l.timer = fd
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
	}
	l.onTime = f
	spec := unix.NsecToTimespec(int64(period))
	return unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Interval: spec, Value: spec}, nil)
}

// clock is nanoseconds since the loop was made.
func (l *loop) clock() int64 { return int64(time.Since(l.start)) }

// send marks c's outbound bytes to be written before the loop waits again.
func (l *loop) send(c *conn) {
	if !c.dirty && !c.blocked {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

// run drives the connections until done says so, ctx ends, or nothing comes for a long time. tick is called about 20
// times a second.
func (l *loop) run(ctx context.Context, done func() bool, tick func()) error {
	lastTick, lastEvent := l.clock(), l.clock()
	l.now = lastTick
	for {
		if err := l.flushDirty(); err != nil {
			return err
		}
		if done() {
			return nil
		}
		n, err := unix.EpollWait(l.epoll, l.events[:], 50)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		l.now = l.clock()
		if l.now-lastTick > int64(50*time.Millisecond) {
			lastTick = l.now
			if ctx.Err() != nil {
				return ctx.Err()
			}
			tick()
		}
		if n > 0 {
			lastEvent = l.now
		} else if l.now-lastEvent > int64(stallAfter) {
			return fmt.Errorf("nothing came from the gateway for %v", stallAfter)
		}
		for i := range max(n, 0) {
			if err := l.handle(&l.events[i]); err != nil {
				return err
			}
		}
	}
}

// handle serves one descriptor that is ready.
func (l *loop) handle(event *unix.EpollEvent) error {
	if event.Fd < 0 {
		return l.expire()
	}
	c := l.conns[event.Fd]
	if event.Events&unix.EPOLLOUT != 0 {
		if err := l.flush(c); err != nil {
			return err
		}
	}
	if event.Events&^unix.EPOLLOUT != 0 {
		if err := l.read(c); err != nil {
			return fmt.Errorf("session %d: %w", c.index+1, err)
		}
	}
	return l.flushDirty()
}

// expire serves the timer.
func (l *loop) expire() error {
	var count [8]byte
	n, err := unix.Read(l.timer, count[:])
	if n != len(count) || err != nil {
		return nil // it was read already
	}
	l.now = l.clock()
	return l.onTime(int64(count[0]) | int64(count[1])<<8 | int64(count[2])<<16)
}

// read takes what the socket has and handles the whole frames in it.
func (l *loop) read(c *conn) error {
	if len(c.in) > len(l.buffer)/2 {
		l.buffer = make([]byte, 4*len(l.buffer))
	}
	have := copy(l.buffer, c.in)
	n, err := unix.Read(c.fd, l.buffer[have:])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
	}
	l.now = l.clock()
	rest, err := l.frames(c, l.buffer[:have+n])
	c.in = append(c.in[:0], rest...)
	return err
}

// frames handles the whole frames in b and returns what is left.
func (l *loop) frames(c *conn, b []byte) (rest []byte, err error) {
	for {
		opcode, payload, size, err := parseFrame(b)
		if err != nil || size == 0 {
			return b, err
		}
		b = b[size:]
		switch opcode {
		case opText, opBinary:
			err = c.onFrame(payload)
		case opPing:
			c.out = appendFrame(c.out, opPong, payload)
			l.send(c)
		case opClose:
			err = closeError(payload)
		}
		if err != nil {
			return b, err
		}
	}
}

// flushDirty writes what was sent.
func (l *loop) flushDirty() error {
	for _, c := range l.dirty {
		c.dirty = false
		if err := l.flush(c); err != nil {
			return err
		}
	}
	l.dirty = l.dirty[:0]
	return nil
}

// flush writes as much as the socket takes; the rest waits until it takes more.
func (l *loop) flush(c *conn) error {
	for len(c.out) > 0 {
		n, err := unix.Write(c.fd, c.out)
		if errors.Is(err, unix.EAGAIN) {
			return l.watch(c, true)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("session %d: write: %w", c.index+1, err)
		}
		c.out = c.out[:copy(c.out, c.out[max(n, 0):])]
	}
	return l.watch(c, false)
}

// watch asks to be told when the socket is writable, or not any more.
func (l *loop) watch(c *conn, writable bool) error {
	if c.blocked == writable {
		return nil
	}
	c.blocked = writable
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.index)}
	if writable {
		event.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &event)
}
