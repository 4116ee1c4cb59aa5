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
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

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
		"message no map":   {post(`"x"`), 400, "Bad request. A message must be an object."},
		"post too large":   {post(`{"body": "` + strings.Repeat("x", 300<<10) + `"}`), 400, "Message collection size is too large. Max size 262144"},
		"duplicate key":    {`{"action": "queue_list", "action": "queue_list", "body": {}, ` + head + `}`, 400, `Duplicate key \"action\"`},
		"too deep":         {post(`{"body": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), 400, "Nested too deeply"},
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
	s.expectClose(1007)
}

// The clients of TestClientsThatNeverRead, and what the gateway is given for them: the budget for frames and replies, and
// some room for all that it holds besides, and for rows on their way from the database.
const (
	deafClients = 8
	deafBudget  = 32 << 20
	deafRoom    = 24 << 20
)

// TestClientsThatNeverRead: they are hung up on in the end, what the gateway holds stays within its budget
// (web/docs/operations.md), and nobody else suffers.
func TestClientsThatNeverRead(t *testing.T) {
	t.Parallel()
	g := ownIn(t, []string{"GODEBUG=gctrace=1"}, "--write-timeout=2s", "--ping-interval=1s", "--pong-timeout=2s",
		fmt.Sprintf("--memory-budget=%d", deafBudget))
	defer canary(t, g)()
	c := g.dial(t, client.Options{Project: "raw"})
	body := strings.Repeat("x", 12<<10)
	for range 20 {
		if _, err := c.Post(within(t), "q", client.NewMessage{Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	var group errgroup.Group
	for range deafClients {
		s := raw(t, g)
		group.Go(func() error { return askAndNeverRead(s) })
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	held := mostHeld(t, g)
	t.Logf("the gateway held %d MB", held>>20)
	if held > deafBudget+deafRoom {
		t.Errorf("the gateway held %d MB for %d clients", held>>20, deafClients)
	}
}

// liveHeap is what a collection of Go's garbage left, in MB, in the trace that GODEBUG=gctrace=1 asks for.
var liveHeap = regexp.MustCompile(`(?m)^gc \d+ .* \d+->\d+->(\d+) MB`)

// mostHeld is the most that two collections in a row have left, in bytes: one also counts what is allocated while it
// runs, which on a busy machine is long, and which is garbage by the next. The resident set would be what the collector,
// and above all the race detector, makes of that.
func mostHeld(t *testing.T, g *gateway) int {
	t.Helper()
	most, before := 0, 0
	for _, match := range liveHeap.FindAllStringSubmatch(g.log.String(), -1) {
		mb, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, min(before, mb)<<20)
		before = mb
	}
	if most == 0 {
		t.Fatal("the gateway has not traced its collections")
	}
	return most
}

// askAndNeverRead asks for 240 KiB again and again until it is hung up on.
func askAndNeverRead(s *rawSession) error {
	list := []byte(`{"action": "message_list", "id": 1, "body": {"queue_name": "q", "limit": 20}}`)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		_ = s.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		// A time-out says that it is not read any more.
		if err := s.send(fin|text, list, -1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
	}
	return errors.New("a client that never reads was not hung up on")
}
