package protocol

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRecordedErrors holds the errors that the gateway makes of storage faults to the recorded session, status and all.
func TestRecordedErrors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/zaqar-websocket-v2.json")
	if err != nil {
		t.Fatal(err)
	}
	var steps []struct{ Expect []json.RawMessage }
	if err := json.Unmarshal(data, &steps); err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, step := range steps {
		for _, frame := range step.Expect {
			var v any
			if err := json.Unmarshal(frame, &v); err != nil {
				t.Fatal(err)
			}
			object := v.(map[string]any)
			delete(object, "request")
			text, _ := json.Marshal(v)
			recorded[string(text)] = true
		}
	}
	q, missing := QueueKey{"<project>", "q"}, QueueKey{"<project>", "missing"}
	for _, e := range []*Error{
		ErrorPostTooLarge(262144), ErrorQueueMissing(missing), ErrorMessageMissing(q, "nope"), ErrorClaimMissing(q, "nope"),
		ErrorDeleteClaimMissing(q, "nope"), ErrorMessageClaimed("<message-1>"), ErrorMessageNotClaimedBy("<message-1>", "<claim-2>"),
		ErrorMessageNotClaimed("<message-2>"), ErrorSubscriptionMissing("q", "<subscription-4>"),
	} {
		var w Writer
		AppendError(&w, &Request{}, e)
		v := asJSON(t, JSON, w.Buf).(map[string]any)
		delete(v, "request")
		if text, _ := json.Marshal(v); !recorded[string(text)] {
			t.Errorf("not recorded: %s", text)
		}
	}
}

// TestUnavailable is about what a client needs to know to try again.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	for e, outcome := range map[*Error]string{
		ErrorUnavailable(time.Second, nil): OutcomeNothing, ErrorOutcomeUnknown(time.Second, nil): OutcomeUnknown,
		ErrorOverloaded(time.Second, nil): OutcomeNothing, ErrorStopping(time.Second): OutcomeNothing,
	} {
		if e.Status != 503 || e.RetryAfter != time.Second || e.Outcome != outcome || e.Kind != KindAction {
			t.Errorf("%+v", e)
		}
	}
	if e := ErrorAuthenticationFailed(nil); e.Status != 401 || !strings.Contains(e.Error(), "Authentication failed.") {
		t.Error(e)
	}
}
