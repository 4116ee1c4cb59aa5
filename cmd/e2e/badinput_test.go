package e2e

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// canary is a session that works all the while: what others do must not disturb it.
func canary(t *testing.T, g *gateway) (stop func()) {
	t.Helper()
	c := g.dial(t, client.Options{Project: "canary"})
	ctx, cancel := context.WithCancel(within(t))
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			start := time.Now()
			if _, err := c.Post(ctx, "q", client.NewMessage{Body: "sing"}); err != nil && ctx.Err() == nil {
				done <- err
				return
			}
			if took := time.Since(start); took > 10*time.Second {
				done <- fmt.Errorf("a post took %v", took)
				return
			}
		}
		done <- nil
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("another session was disturbed: %v", err)
		}
	}
}

// refused lists frames that are answered with an error and leave the session as it was.
func refusedFrames() map[string]struct {
	frame  string
	status int
	text   string
} {
	head := fmt.Sprintf(`"headers": {"Client-ID": %q, "X-Project-ID": "bad"}`, uuid.NewString())
	post := func(message string) string {
		return `{"action": "message_post", ` + head + `, "body": {"queue_name": "q", "messages": [` + message + `]}}`
	}
	queue := func(name string) string {
		return `{"action": "queue_create", ` + head + `, "body": {"queue_name": ` + name + `}}`
	}
	return map[string]struct {
		frame  string
		status int
		text   string
	}{
		"not JSON":         {`{"action": `, 400, "Can't decode text (JSON) request."},
		"empty":            {``, 400, "Can't decode text (JSON) request."},
		"not an object":    {`[1, 2]`, 400, "Unexpected body type. Expected dict or dict like."},
		"unknown action":   {`{"action": "queue_glorify", "body": {}, ` + head + `}`, 400, "queue_glorify is not a valid action"},
		"missing field":    {`{"action": "queue_create", "body": {}, ` + head + `}`, 400, "Schema validation failed."},
		"wrong type":       {queue(`5`), 400, "Schema validation failed."},
		"no headers":       {`{"action": "queue_list", "body": {}}`, 400, "Schema validation failed."},
		"bad character":    {queue(`"m@rs"`), 400, "Queue names may only contain ASCII letters"},
		"name too long":    {queue(strconv.Quote(strings.Repeat("v", 65))), 400, "Queue names may not be more than 64 characters long."},
		"TTL too small":    {post(`{"body": 1, "ttl": 59}`), 400, "The TTL for a message may not exceed"},
		"TTL too large":    {post(`{"body": 1, "ttl": 1209601}`), 400, "The TTL for a message may not exceed"},
		"TTL not a number": {post(`{"body": 1, "ttl": "60"}`), 400, `The value of the \"ttl\" field must be a int.`},
		"no body":          {post(`{"ttl": 60}`), 400, `Missing \"body\" field.`},
		"message no map":   {post(`"x"`), 400, ""},
		"post too large":   {post(`{"body": "` + strings.Repeat("x", 300<<10) + `"}`), 400, "Message collection size is too large. Max size 262144"},
		"duplicate key":    {`{"action": "queue_list", "action": "queue_list", "body": {}, ` + head + `}`, 400, ""},
		"too deep":         {post(`{"body": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), 400, ""},
		"bad UUID": {`{"action": "message_list", "headers": {"Client-ID": "textid", "X-Project-ID": "bad"}, "body": {"queue_name": "q"}}`,
			400, "badly formed hexadecimal UUID string"},
	}
}

func TestRefusedFrames(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	defer canary(t, g)()
	ws, _, err := websocket.Dial(within(t), g.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(-1)
	for name, f := range refusedFrames() {
		t.Run(name, func(t *testing.T) {
			if err := ws.Write(within(t), websocket.MessageText, []byte(f.frame)); err != nil {
				t.Fatal(err)
			}
			_, reply, err := ws.Read(within(t))
			if err != nil {
				t.Fatal(err)
			}
			var r struct {
				Headers struct{ Status int }
				Body    json.RawMessage
			}
			if err := json.Unmarshal(reply, &r); err != nil {
				t.Fatal(err)
			}
			if r.Headers.Status != f.status || !strings.Contains(string(r.Body), f.text) {
				t.Errorf("answered %d %.300s; want %d and %q", r.Headers.Status, r.Body, f.status, f.text)
			}
		})
	}
}

// rawSession is a session whose frames a test makes byte by byte.
type rawSession struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func raw(t *testing.T, g *gateway) *rawSession {
	t.Helper()
	address := strings.TrimPrefix(g.url, "ws://")
	nc, err := (&net.Dialer{}).DialContext(within(t), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	_, err = fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Project-ID: raw\r\nClient-ID: %s\r\n\r\n", address, uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	s := &rawSession{t, nc, bufio.NewReader(nc)}
	response, err := http.ReadResponse(s.r, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v, %v", response, err)
	}
	_ = response.Body.Close()
	return s
}

const (
	continuation, text, closing, ping = 0x0, 0x1, 0x8, 0x9
	fin                               = 0x80
)

// send writes a frame with a zero mask key; a length below zero is the payload's.
func (s *rawSession) send(first byte, payload []byte, length int) error {
	if length < 0 {
		length = len(payload)
	}
	frame := []byte{first, 0x80 | 127}
	frame = binary.BigEndian.AppendUint64(frame, uint64(length))
	frame = append(frame, 0, 0, 0, 0)
	_, err := s.Write(append(frame, payload...))
	return err
}

// receive reads a frame; pings are skipped.
func (s *rawSession) receive() (opcode byte, payload []byte, err error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(s.r, head[:]); err != nil {
			return 0, nil, err
		}
		n := int(head[1])
		switch n {
		case 126:
			var b [2]byte
			_, err = io.ReadFull(s.r, b[:])
			n = int(binary.BigEndian.Uint16(b[:]))
		case 127:
			var b [8]byte
			_, err = io.ReadFull(s.r, b[:])
			n = int(binary.BigEndian.Uint64(b[:]))
		}
		if err != nil {
			return 0, nil, err
		}
		payload = make([]byte, n)
		if _, err := io.ReadFull(s.r, payload); err != nil {
			return 0, nil, err
		}
		if opcode = head[0] & 0x0f; opcode != ping {
			return opcode, payload, nil
		}
	}
}

// expectClose reads up to the close frame and compares its code; 0 asks for the connection's end in any way.
func (s *rawSession) expectClose(code uint16) {
	s.t.Helper()
	for {
		opcode, payload, err := s.receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.t.Fatal("the session was not closed")
		}
		if err != nil && code == 0 {
			return
		}
		if err != nil {
			s.t.Fatalf("the connection ended without a close frame: %v", err)
		}
		if opcode == closing {
			if got := binary.BigEndian.Uint16(payload); code != 0 && got != code {
				s.t.Errorf("closed with %d %s, want %d", got, payload[2:], code)
			}
			return
		}
	}
}

const queueList = `{"action": "queue_list", "id": 1, "body": {}}`

func TestFrameOf2MiB(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	defer canary(t, g)()
	s := raw(t, g)
	// Whether the whole frame is taken before the session is closed is the gateway's choice.
	_ = s.send(fin|text, make([]byte, 2<<20), -1)
	s.expectClose(1009)
}

func TestFragmentedFrame(t *testing.T) {
	t.Parallel()
	s := raw(t, defaults(t))
	for i := range len(queueList) {
		first := byte(continuation)
		if i == 0 {
			first = text
		}
		if i == len(queueList)-1 {
			first |= fin
		}
		if err := s.send(first, []byte{queueList[i]}, -1); err != nil {
			t.Fatal(err)
		}
		if err := s.send(fin|ping, nil, -1); err != nil { // control frames may come in between
			t.Fatal(err)
		}
	}
	const pong = 0xA
	for {
		opcode, payload, err := s.receive()
		if err != nil {
			t.Fatal(err)
		}
		if opcode == pong {
			continue
		}
		if !strings.Contains(string(payload), `"status":200`) {
			t.Errorf("answered %s", payload)
		}
		return
	}
}

func TestManySmallFragmentsOfALargeFrame(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	defer canary(t, g)()
	s := raw(t, g)
	// More than the limit in all, in fragments that are each below it: the limit is the message's.
	first := byte(text)
	for range 40 {
		if s.send(first, make([]byte, 32<<10), -1) != nil {
			break
		}
		first = continuation
	}
	s.expectClose(1009)
}

func TestHalfAFrameThenSilence(t *testing.T) {
	t.Parallel()
	g := shortTimes(t)
	defer canary(t, g)()
	s := raw(t, g)
	if err := s.send(fin|text, []byte(queueList)[:10], len(queueList)); err != nil {
		t.Fatal(err)
	}
	s.expectClose(0)
}

func TestTextThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	s := raw(t, defaults(t))
	if err := s.send(fin|text, []byte("{\"action\": \"\xff\"}"), -1); err != nil {
		t.Fatal(err)
	}
	opcode, payload, err := s.receive()
	if err != nil {
		t.Fatal(err)
	}
	if opcode == closing {
		if code := binary.BigEndian.Uint16(payload); code != 1007 {
			t.Errorf("closed with %d, want 1007", code)
		}
	} else if !strings.Contains(string(payload), `"status":400`) {
		t.Errorf("answered %.300s", payload)
	}
}

// memoryBound is by how much one client may make the gateway's resident set grow, in bytes.
var memoryBound = 128 << 20

// TestClientThatNeverReads: it is hung up on in the end, the gateway's memory stays bounded, and nobody else suffers.
func TestClientThatNeverReads(t *testing.T) {
	t.Parallel()
	g := own(t, "--write-timeout=2s", "--ping-interval=1s", "--pong-timeout=2s")
	defer canary(t, g)()
	c := g.dial(t, client.Options{Project: "raw"})
	body := strings.Repeat("x", 12<<10)
	for range 20 {
		if _, err := c.Post(within(t), "q", client.NewMessage{Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	before := resident(t, g)
	s := raw(t, g)
	// Each is answered with 240 KiB, and nobody takes the answers.
	list := []byte(`{"action": "message_list", "id": 1, "body": {"queue_name": "q", "limit": 20}}`)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	deadline, grown := time.Now().Add(patience), 0
	for asked := 0; ; asked++ {
		_ = s.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		err := s.send(fin|text, list, -1)
		grown = max(grown, resident(t, g)-before)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // then it is not read any more
			t.Logf("hung up on after about %d requests; the gateway grew by %d MB", asked, grown>>20)
			break
		}
		if time.Now().After(deadline) {
			t.Error("it was not hung up on")
			break
		}
		<-poll.C
	}
	if grown > memoryBound {
		t.Errorf("the gateway grew by %d MB for one client", grown>>20)
	}
}

// resident is the gateway's resident set in bytes.
func resident(t *testing.T, g *gateway) int {
	t.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
