package protocol

import "testing"

func TestActions(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, a := range Actions() {
		if seen[a.Name] || ActionByName(a.Name) != a {
			t.Errorf("%s: not found by its name", a.Name)
		}
		seen[a.Name] = true
		if a.Required&a.Optional != 0 {
			t.Errorf("%s: fields both required and optional", a.Name)
		}
		if queue := a.Required&(FieldQueueName|FieldTopicName) != 0; queue == (a.Class == ClassSession) {
			t.Errorf("%s: class %d, names a queue: %v", a.Name, a.Class, queue)
		}
		if a.bodyless && a.Required != 0 {
			t.Errorf("%s: required fields in a body that may be missing", a.Name)
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d actions", len(seen))
	}
	for name := range restForms {
		if !seen[name] {
			t.Errorf("REST has %s, which is no action", name)
		}
	}
	for name := range seen {
		if restForms[name] == nil && name != "authenticate" {
			t.Errorf("REST lacks %s", name)
		}
	}
	if ActionByName("queue_glorify") != nil {
		t.Error("found an action that is none")
	}
}

func TestCloseCodes(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, c := range CloseCodes() {
		if names[c.Name()] || len(c.Reason()) > 123 { // what fits a control frame
			t.Errorf("%d: name %q, reason %q", c, c.Name(), c.Reason())
		}
		names[c.Name()] = true
	}
	if CloseAuthExpired != 4003 || CloseAuthExpired.Reason() != "Authentication expired." {
		t.Error("clients match this one")
	}
	if CloseTooBig.Reconnect() || !CloseGoingAway.Reconnect() || !CloseCode(4999).Reconnect() || CloseCode(4999).Name() != "4999" {
		t.Error("whether to come back")
	}
}
