package golden

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// oracle is a gateway without a store. What Decode refuses it answers by itself; for everything else it takes the body
// from the step at hand. So a play against it holds Decode, the replies' envelope and the pushes to the golden files,
// and the player to its own rules.
type oracle struct {
	steps []Step
	at    int
	ids   map[string]string
	lim   protocol.Limits
	// said are the defaults of the session, set by authenticate.
	said protocol.Defaults
}

// oracleConn is a connection to it.
type oracleConn struct {
	o      *oracle
	frames []oracleFrame
}

type oracleFrame struct {
	binary  bool
	payload []byte
}

func (c *oracleConn) Close() error {
	c.o.at++ // a step of its own; at the end it does no harm
	return nil
}

func (c *oracleConn) Receive(time.Duration) (binary bool, payload []byte, err error) {
	if len(c.frames) == 0 {
		return false, nil, fmt.Errorf("no frame")
	}
	f := c.frames[0]
	c.frames = c.frames[1:]
	return f.binary, f.payload, nil
}

func codecOf(binary bool) protocol.Codec {
	if binary {
		return protocol.MessagePack
	}
	return protocol.JSON
}

func (c *oracleConn) Send(binary bool, payload []byte) error {
	var req protocol.Request
	fault := protocol.Decode(payload, codecOf(binary), c.o.said, &c.o.lim, &req)
	if fault == nil {
		fault = req.PostTooLarge(&c.o.lim)
	}
	var w protocol.Writer
	w.Reset(req.Codec, nil)
	if fault != nil {
		protocol.AppendError(&w, &req, fault)
	} else if err := c.o.answer(&w, &req); err != nil {
		return err
	}
	c.push()
	c.frames = append(c.frames, oracleFrame{binary, w.Buf})
	if c.o.at < len(c.o.steps) {
		c.o.at++
	}
	return nil
}

// answer writes the reply that the step at hand expects.
func (o *oracle) answer(w *protocol.Writer, req *protocol.Request) error {
	var want struct {
		Headers struct{ Status int }
		Body    json.RawMessage
	}
	if err := json.Unmarshal(o.steps[o.at].Expect[0], &want); err != nil {
		return err
	}
	// Only these have faults of the request that a store finds.
	if want.Headers.Status == 400 && req.Action.Name != "message_delete" && req.Action.Name != "queue_update" {
		return fmt.Errorf("decode let a frame pass that is answered 400")
	}
	switch req.Action.Name {
	case "subscription_get": // the only action that is asked about an id that nobody gave out
		o.ids["subscription-4"] = req.Fields.SubscriptionID
	case "authenticate":
		o.said = protocol.Defaults{ClientID: strings.Clone(req.ClientID), ProjectID: strings.Clone(req.ProjectID)}
	}
	o.ids["project"] = req.ProjectID
	body := o.fill(want.Body)
	protocol.AppendReply(w, req, want.Headers.Status, func(w *protocol.Writer) { w.RawJSON(body) })
	return w.Err()
}

var anyName = regexp.MustCompile(`"?<([a-z]+(-[A-Za-z0-9]+)?)>"?`)

// fill gives the names values of its own.
func (o *oracle) fill(body []byte) []byte {
	body = []byte(strings.NewReplacer(`"<age>"`, "0", `"<300|360>"`, "360", `"<any>"`, "null", `<time>`, "2026-01-31T12:00:00Z").Replace(string(body)))
	return anyName.ReplaceAllFunc(body, func(match []byte) []byte {
		name := strings.Trim(string(match), `<">`)
		value, ok := o.ids[name]
		if !ok {
			value = "the-" + name
		}
		return []byte(strings.Replace(string(match), "<"+name+">", value, 1))
	})
}

// push puts the pushes of the step at hand before its reply.
func (c *oracleConn) push() {
	if c.o.at >= len(c.o.steps) {
		return
	}
	step := c.o.steps[c.o.at]
	for _, raw := range step.Push {
		var push struct {
			TTL  int32
			Body json.RawMessage
			Name string `json:"queue_name"`
		}
		if err := json.Unmarshal(raw, &push); err != nil {
			panic(err)
		}
		binary := step.PushCodec == "msgpack"
		w := protocol.Writer{Codec: codecOf(binary)}
		protocol.AppendNotification(&w, push.Name, &protocol.Message{TTL: push.TTL, Body: push.Body}, false)
		c.frames = append(c.frames, oracleFrame{binary, w.Buf})
	}
}

func TestPlay(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"zaqar-websocket-v2", "nusku-id-frames"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps, err := Load("../testdata/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			o := &oracle{steps: steps, ids: map[string]string{}, lim: protocol.DefaultLimits()}
			Play(t, func() (Conn, error) { return &oracleConn{o: o}, nil }, steps)
		})
	}
}

// TestEveryActionIsPlayed keeps the golden session of our own complete.
func TestEveryActionIsPlayed(t *testing.T) {
	t.Parallel()
	const name = "nusku-id-frames"
	steps, err := Load("../testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	played := map[string]bool{}
	for _, step := range steps {
		var frame struct{ Action string }
		if json.Unmarshal(step.Send, &frame) == nil {
			played[frame.Action] = true
		}
	}
	for _, a := range protocol.Actions() {
		if !played[a.Name] {
			t.Errorf("%s does not play %s", name, a.Name)
		}
	}
}

// script is a connection that says what it is told to.
type script []oracleFrame

func (s *script) Close() error            { return nil }
func (s *script) Send(bool, []byte) error { return nil }
func (s *script) Receive(time.Duration) (bool, []byte, error) {
	if len(*s) == 0 {
		return false, nil, fmt.Errorf("no frame")
	}
	f := (*s)[0]
	*s = (*s)[1:]
	return f.binary, f.payload, nil
}

func TestExchange(t *testing.T) {
	t.Parallel()
	step := Step{
		Send:   json.RawMessage(`{"action": "x", "headers": {"a": 1}}`),
		Expect: []json.RawMessage{json.RawMessage(`{"body": {"id": "<message-1>", "age": "<age>", "n": 1}, "headers": {"status": 200}}`)},
		Push:   []json.RawMessage{json.RawMessage(`{"Message_Type": "Notification", "body": "<message-1> is <message-2>"}`)},
	}
	const (
		echo  = `"request": {"action": "x", "body": {}, "headers": {"a": 1}, "api": "v2"}`
		reply = `{"body": {"id": "m", "age": 3, "n": 1}, "headers": {"status": 200}, ` + echo + `}`
		push  = `{"Message_Type": "Notification", "body": "m is n"}`
	)
	tests := map[string]struct {
		frames []string
		fault  string
	}{
		"right":         {[]string{reply, push}, ""},
		"no push":       {[]string{reply}, "still to come"},
		"twice":         {[]string{reply, reply}, "unasked"},
		"other number":  {[]string{strings.Replace(reply, `"n": 1`, `"n": 1.0`, 1), push}, "frame.body.n is 1.0, want 1"},
		"one more key":  {[]string{strings.Replace(reply, `"n": 1`, `"n": 1, "o": 2`, 1), push}, "has the keys"},
		"one less key":  {[]string{strings.Replace(reply, `"n": 1,`, ``, 1), strings.Replace(push, `"body"`, `"bod"`, 1)}, "has the keys"},
		"other echo":    {[]string{strings.Replace(reply, `{"a": 1}`, `{"a": 2}`, 1), push}, "frame.request.headers.a"},
		"other status":  {[]string{strings.Replace(reply, `200`, `201`, 1), push}, "frame.headers.status"},
		"age a string":  {[]string{strings.Replace(reply, `3`, `"3"`, 1), push}, "want an age"},
		"another id":    {[]string{reply, strings.Replace(push, "m is", "o is", 1)}, `want "<message-1> is`},
		"the same id":   {[]string{reply, strings.Replace(push, "m is n", "m is m", 1)}, "has the id of"},
		"not an object": {[]string{`[]`}, "decode"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s script
			for _, f := range test.frames {
				s = append(s, oracleFrame{payload: []byte(f)})
			}
			p := player{vars: newVariables()}
			err := p.exchange(&s, &step)
			if (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("got %v, want %q", err, test.fault)
			}
		})
	}
	t.Run("binary reply to a text frame", func(t *testing.T) {
		t.Parallel()
		packed, err := protocol.Transcode(nil, []byte(reply), protocol.JSON, protocol.MessagePack)
		if err != nil {
			t.Fatal(err)
		}
		p := player{vars: newVariables()}
		if err := p.exchange(&script{{true, packed}}, &step); err == nil || !strings.Contains(err.Error(), "binary is true") {
			t.Errorf("got %v", err)
		}
	})
}
