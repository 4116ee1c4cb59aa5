package gateway

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
)

// hijacker is the ResponseWriter that the WebSocket library upgrades. What its Hijack returns is ours: the session's
// connection, and a small reader and writer in place of net/http's, which would cost each session 10 KB. A session
// holds neither the hijacker nor the request behind it.
type hijacker struct {
	http.ResponseWriter
	sess *session
}

// Hijack implements http.Hijacker. The library resets the reader onto the connection and keeps nothing but what is
// buffered in it, so what a hasty client sent right behind its handshake, which is in net/http's reader by now, is
// left to the connection's first Read.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	netConn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	c := h.sess.conn
	c.Conn = netConn
	c.raw.open(netConn)
	if n := rw.Reader.Buffered(); n > 0 {
		early, err := rw.Reader.Peek(n)
		if err != nil {
			_ = netConn.Close()
			return nil, nil, fmt.Errorf("hijack: read behind the handshake: %w", err)
		}
		c.early = append([]byte(nil), early...)
	}
	cfg := &h.sess.gw.cfg
	c.br = bufio.NewReaderSize(c, cfg.ReadBuffer)
	return c, bufio.NewReadWriter(c.br, bufio.NewWriterSize(c, cfg.WriteBuffer)), nil
}
