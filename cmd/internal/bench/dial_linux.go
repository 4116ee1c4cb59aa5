package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// dialAll opens n sessions and adds them to the loop. A few dozen handshakes at a time are as fast as it gets.
func (l *loop) dialAll(ctx context.Context, n int, address, project string, progress func(done int)) ([]*conn, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	conns := make([]*conn, n)
	opened := make(chan int, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(64)
	g.Go(func() error {
		for done := range n {
			select {
			case <-opened:
				progress(done + 1)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for i := range conns {
		g.Go(func() (err error) {
			conns[i], err = dial(ctx, u, project)
			if err != nil {
				return fmt.Errorf("session %d of %d: %w", i+1, n, err)
			}
			opened <- i
			return nil
		})
	}
	err = g.Wait()
	for _, c := range conns {
		if c == nil {
			continue
		}
		if err == nil {
			err = l.add(c)
		} else {
			_ = unix.Close(c.fd)
		}
	}
	return conns, err
}

// dial opens one session. The socket is taken away from Go's own poller.
func dial(ctx context.Context, u *url.URL, project string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	defer nc.Close() // the duplicate below lives on
	deadline, _ := ctx.Deadline()
	if err := nc.SetDeadline(deadline); err != nil {
		return nil, err
	}
	clientID := uuid.NewString()
	rest, err := handshake(nc, u, project, clientID)
	if err != nil {
		return nil, err
	}
	fd, err := duplicate(nc.(*net.TCPConn))
	if err != nil {
		return nil, err
	}
	return &conn{fd: fd, in: rest, clientID: clientID}, nil
}

// handshake upgrades a connection and returns what came behind the answer.
func handshake(nc net.Conn, u *url.URL, project, clientID string) (rest []byte, err error) {
	_, err = fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: bnVza3UtYmVuY2gtMDAwMQ==\r\nSec-WebSocket-Version: 13\r\nX-Project-ID: %s\r\nClient-ID: %s\r\n\r\n",
		u.RequestURI(), u.Host, project, clientID)
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	var answer []byte
	buffer := make([]byte, 1024)
	for {
		n, err := nc.Read(buffer)
		answer = append(answer, buffer[:n]...)
		if head, rest, ok := bytes.Cut(answer, []byte("\r\n\r\n")); ok {
			line, _, _ := strings.Cut(string(head), "\r\n")
			if !strings.HasPrefix(line, "HTTP/1.1 101") {
				return nil, fmt.Errorf("handshake: %s", line)
			}
			return bytes.Clone(rest), nil
		}
		if err != nil {
			return nil, fmt.Errorf("handshake: %w", err)
		}
	}
}

// duplicate returns a non-blocking descriptor of the connection that Go's poller does not watch.
func duplicate(nc *net.TCPConn) (int, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var dupErr error
	if err := raw.Control(func(s uintptr) { fd, dupErr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 3) }); err != nil {
		return -1, err
	}
	return fd, dupErr
}
