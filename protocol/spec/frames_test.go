package spec_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/protocol/golden"
	"github.com/nusku-messaging/nusku/protocol/spec"
)

// TestGoldenFrames holds the schemas to the golden sessions: a frame that is taken is one by its schema, one whose fields
// are of a wrong type is not, and every reply is one.
func TestGoldenFrames(t *testing.T) {
	t.Parallel()
	checked := map[string]bool{}
	s := schemasOf(t, spec.AsyncAPI())
	for _, name := range []string{"zaqar-websocket-v2", "nusku-id-frames", "nusku-extended"} {
		steps, err := golden.Load("../testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			action := s.checkRequest(name, &step)
			for _, reply := range step.Expect {
				s.checkReply(name+": "+step.Name, action, reply, step.Send)
			}
			for _, push := range step.Push {
				value, _ := decoded(t, push)
				s.checkPush(name+": "+step.Name, value)
			}
			checked[action] = true
		}
	}
	for _, a := range protocol.Actions() {
		if !checked[a.Name] {
			t.Errorf("no frame of %s was checked", a.Name)
		}
	}
}

// checkRequest checks the frame of a step and returns its action; "" when it has none that is known.
func (s *schemas) checkRequest(session string, step *golden.Step) string {
	s.t.Helper()
	var frame struct {
		Action  any
		Headers map[string]any
	}
	if step.Send == nil || json.Unmarshal(step.Send, &frame) != nil {
		return ""
	}
	action, _ := frame.Action.(string)
	if protocol.ActionByName(action) == nil {
		return ""
	}
	value, _ := decoded(s.t, step.Send)
	err := s.at("components", "schemas", action).Validate(value)
	refused := len(step.Expect) > 0 && lookup(parsed(s.t, step.Expect[0]), "body", "error") == "Schema validation failed."
	switch status := status(s, step); {
	case refused && err == nil && frame.Headers["Client-ID"] != nil && frame.Headers["X-Project-ID"] != nil:
		s.t.Errorf("%s: %s: the schema takes what is refused", session, step.Name)
	case status < 300 && err != nil:
		s.t.Errorf("%s: %s: %v", session, step.Name, err)
	}
	return action
}

// status is the status of a step's reply, 0 if there is none.
func status(s *schemas, step *golden.Step) int64 {
	s.t.Helper()
	if len(step.Expect) == 0 {
		return 0
	}
	n, _ := lookup(parsed(s.t, step.Expect[0]), "headers", "status").(json.Number)
	v, _ := n.Int64()
	return v
}

// checkReply checks a reply. The golden files leave out the echo where it is simply the request.
func (s *schemas) checkReply(what, action string, reply, sent json.RawMessage) {
	s.t.Helper()
	value, whole := decoded(s.t, reply)
	if !whole {
		return
	}
	frame := value.(map[string]any)
	if frame["id"] == nil && frame["request"] == nil {
		frame["request"] = map[string]any{"action": action, "body": map[string]any{}, "headers": map[string]any{}, "api": "v2"}
	}
	component := action + ".reply"
	if action == "" {
		component = "Reply"
	}
	if err := s.at("components", "schemas", component).Validate(value); err != nil {
		s.t.Errorf("%s: %v", what, err)
	}
}

func (s *schemas) checkPush(what string, push any) {
	s.t.Helper()
	kind, _ := lookup(push, "Message_Type").(string)
	if err := s.at("components", "schemas", kind).Validate(push); err != nil {
		s.t.Errorf("%s: %v", what, err)
	}
}

func TestGoldenPushes(t *testing.T) {
	t.Parallel()
	s := schemasOf(t, spec.AsyncAPI())
	data, err := os.ReadFile("../testdata/nusku-pushes.json")
	if err != nil {
		t.Fatal(err)
	}
	var pushes []struct {
		Name  string
		Frame json.RawMessage
	}
	if err := json.Unmarshal(data, &pushes); err != nil {
		t.Fatal(err)
	}
	for _, push := range pushes {
		s.checkPush(push.Name, parsed(t, push.Frame))
	}
}
