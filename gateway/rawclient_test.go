package gateway

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// rawClient speaks the WebSocket protocol byte by byte, to be able to break it.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	br   *bufio.Reader
}

// testPatience is how long a test waits for what has to come.
const testPatience = 20 * time.Second

// noDeadline takes a deadline off a connection.
var noDeadline time.Time

// dialPlain connects and sends nothing.
func dialPlain(t testing.TB, addr string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(testPatience)); err != nil {
		t.Fatal(err)
	}
	return &rawClient{t: t, conn: conn, br: bufio.NewReader(conn)}
}

// dialRaw connects and sends a handshake with the bytes of first right behind it, in the same packet.
func dialRaw(t testing.TB, addr string, first []byte, headers ...string) *rawClient {
	t.Helper()
	c := dialPlain(t, addr)
	c.handshake(first, headers...)
	return c
}

// handshake asks for an upgrade.
func (c *rawClient) handshake(first []byte, headers ...string) {
	c.t.Helper()
	handshake := "GET /any/path HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	for _, h := range headers {
		handshake += h + "\r\n"
	}
	c.write(append([]byte(handshake+"\r\n"), first...))
}

// openRaw connects and waits for the upgrade.
func openRaw(t testing.TB, addr string, headers ...string) *rawClient {
	t.Helper()
	c := dialRaw(t, addr, nil, headers...)
	c.upgraded()
	return c
}

func (c *rawClient) upgraded() *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		c.t.Fatalf("upgrade answered %s", resp.Status)
	}
	return resp
}

func (c *rawClient) write(p []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// maskedFrame is a client's frame; fin is whether it ends its message.
func maskedFrame(fin bool, opcode byte, payload []byte) []byte {
	return appendMasked(nil, fin, opcode, payload)
}

func appendMasked(frame []byte, fin bool, opcode byte, payload []byte) []byte {
	start := len(frame)
	frame = appendWSHeader(frame, opcode, len(payload))
	if !fin {
		frame[start] &^= finBit
	}
	frame[start+1] |= 0x80
	key := [4]byte{1, 2, 3, 4}
	frame = append(frame, key[:]...)
	for i, b := range payload {
		frame = append(frame, b^key[i%4])
	}
	return frame
}

func (c *rawClient) sendText(text string) {
	c.t.Helper()
	c.write(maskedFrame(true, opText, []byte(text)))
}

// readFrame reads one frame of the server.
func (c *rawClient) readFrame() (opcode byte, payload []byte, err error) {
	var h [8]byte
	if _, err := io.ReadFull(c.br, h[:2]); err != nil {
		return 0, nil, err
	}
	if h[0]&finBit == 0 || h[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("frame header % x of a server", h[:2])
	}
	opcode = h[0] & 0xf
	n := int(h[1])
	switch n {
	case 126:
		_, err = io.ReadFull(c.br, h[:2])
		n = int(binary.BigEndian.Uint16(h[:]))
	case 127:
		_, err = io.ReadFull(c.br, h[:])
		n = int(binary.BigEndian.Uint64(h[:]))
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.br, payload)
	return opcode, payload, err
}

// receive reads the next data frame and answers pings on the way.
func (c *rawClient) receive() string {
	c.t.Helper()
	for {
		opcode, payload, err := c.readFrame()
		if err != nil {
			c.t.Fatalf("receive: %v", err)
		}
		switch opcode {
		case opText, opBinary:
			return string(payload)
		case opPing:
			c.write(maskedFrame(true, opPong, payload))
		case opClose:
			c.t.Fatalf("receive: closed with %d %q", binary.BigEndian.Uint16(payload), payload[2:])
		}
	}
}

// expect reads the next data frame and checks that it holds all of the parts.
func (c *rawClient) expect(parts ...string) string {
	c.t.Helper()
	got := c.receive()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			c.t.Fatalf("got %s, want it to hold %s", got, p)
		}
	}
	return got
}

// expectClose reads until the close frame, checks its code, and answers it; then the server has to hang up.
func (c *rawClient) expectClose(code int) {
	c.t.Helper()
	for {
		opcode, payload, err := c.readFrame()
		if err != nil {
			c.t.Fatalf("want close code %d: %v", code, err)
		}
		if opcode != opClose {
			continue
		}
		if len(payload) < 2 || int(binary.BigEndian.Uint16(payload)) != code {
			c.t.Fatalf("close frame %q, want code %d", payload, code)
		}
		// The server may have hung up already.
		_, _ = c.conn.Write(maskedFrame(true, opClose, payload[:2]))
		c.expectEOF()
		return
	}
}

// expectEOF reads until the server has hung up.
func (c *rawClient) expectEOF() {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(testPatience)); err != nil {
		c.t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, c.br)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatal("the server did not hang up")
	}
}
