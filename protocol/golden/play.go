package golden

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// player is a session being played.
type player struct {
	dial  func() (Conn, error)
	conns map[string]Conn
	vars  *variables
}

func (p *player) close() {
	for _, c := range p.conns {
		_ = c.Close()
	}
}

func (p *player) conn(t *testing.T, name string) Conn {
	t.Helper()
	c, ok := p.conns[name]
	if !ok {
		var err error
		if c, err = p.dial(); err != nil {
			t.Fatalf("dial: %v", err)
		}
		p.conns[name] = c
	}
	return c
}

func (p *player) play(t *testing.T, step *Step) {
	t.Helper()
	c := p.conn(t, step.Connection)
	if step.Close {
		if err := c.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		delete(p.conns, step.Connection)
		return
	}
	deadline := time.Now().Add(eventually)
	for {
		err := p.exchange(c, step)
		if err == nil {
			return
		}
		if !step.Eventually || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// exchange sends a step's frame and compares what comes back.
func (p *player) exchange(c Conn, step *Step) error {
	sent, payload, err := p.frame(step)
	if err != nil {
		return err
	}
	if err := c.Send(step.Codec == "msgpack", payload); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	replies, pushes := step.Expect, step.Push
	for len(replies)+len(pushes) > 0 {
		binary, got, err := receive(c)
		if err != nil {
			return fmt.Errorf("still to come %s: %w", slices.Concat(replies, pushes), err)
		}
		queue, codec := &replies, step.Codec
		_, push := got["Message_Type"]
		if push {
			queue, codec = &pushes, step.PushCodec
		}
		if len(*queue) == 0 {
			return fmt.Errorf("unasked: %s", compact(got))
		}
		want := (*queue)[0]
		*queue = (*queue)[1:]
		if binary != (codec == "msgpack") {
			return fmt.Errorf("binary is %v of %s", binary, compact(got))
		}
		if err := p.compare(want, got, sent, push); err != nil {
			return err
		}
	}
	return nil
}

// frame returns what a step sends: as a value, nil if it is none, and encoded.
func (p *player) frame(step *Step) (sent any, payload []byte, err error) {
	switch {
	case step.Text != nil:
		return nil, []byte(*step.Text), nil
	case step.Hex != "":
		payload, err = hex.DecodeString(step.Hex)
		return nil, payload, err
	}
	if err := unmarshal(step.Send, &sent); err != nil {
		return nil, nil, err
	}
	sent = p.vars.fill(sent)
	if payload, err = json.Marshal(sent); err != nil {
		return nil, nil, err
	}
	if step.Codec == "msgpack" {
		payload, err = protocol.Transcode(nil, payload, protocol.JSON, protocol.MessagePack)
	}
	return sent, payload, err
}

// receive reads the next frame, which must be an object.
func receive(c Conn) (binary bool, frame map[string]any, err error) {
	binary, payload, err := c.Receive(receiveTimeout)
	if err != nil {
		return false, nil, fmt.Errorf("receive: %w", err)
	}
	text := payload
	if binary {
		if text, err = protocol.Transcode(nil, payload, protocol.MessagePack, protocol.JSON); err != nil {
			return binary, nil, fmt.Errorf("%x: %w", payload, err)
		}
	}
	if err := unmarshal(text, &frame); err != nil {
		return binary, nil, fmt.Errorf("%s: %w", text, err)
	}
	return binary, frame, nil
}

// compare holds a frame against what is written. A reply without an id echoes the request, which is not written out.
func (p *player) compare(want json.RawMessage, got map[string]any, sent any, push bool) error {
	var expected map[string]any
	if err := unmarshal(want, &expected); err != nil {
		return err
	}
	request, isObject := sent.(map[string]any)
	if _, written := expected["request"]; !written && !push && isObject && request["id"] == nil {
		expected["request"] = echo(request)
	}
	if err := p.vars.match(expected, got, "frame"); err != nil {
		return fmt.Errorf("%w\n got %s\nwant %s", err, compact(got), compact(expected))
	}
	return nil
}

// echo is the member "request" of a reply.
func echo(sent map[string]any) map[string]any {
	e := map[string]any{"action": sent["action"], "body": map[string]any{}, "headers": map[string]any{}, "api": "v2"}
	for _, part := range []string{"body", "headers"} {
		if v, ok := sent[part]; ok {
			e[part] = v
		}
	}
	return e
}

// drain asks once more on every connection: a frame that is late or too many would come before the answer.
func (p *player) drain(t *testing.T) {
	for name, c := range p.conns {
		text := ""
		step := Step{Name: "drain " + name, Text: &text}
		_, payload, _ := p.frame(&step)
		if err := c.Send(false, payload); err != nil {
			t.Fatalf("send: %v", err)
		}
		_, got, err := receive(c)
		if err != nil {
			t.Fatal(err)
		}
		if status := status(got); status != "400" {
			t.Errorf("unasked: %s", compact(got))
		}
	}
}

// status is a reply's status, "" for other frames.
func status(frame map[string]any) string {
	headers, _ := frame["headers"].(map[string]any)
	n, _ := headers["status"].(json.Number)
	return n.String()
}

// unmarshal keeps numbers as they are written.
func unmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("decode %q: %w", data, err)
	}
	return nil
}

// compact writes a value for people, not more than they read.
func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if len(text) > 2000 {
		text = append(text[:2000], "…"...)
	}
	return string(text)
}
