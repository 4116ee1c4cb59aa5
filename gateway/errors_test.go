package gateway

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// sentinels are all errors of protocol's faults.go by name, with what each becomes.
var sentinels = map[string]struct {
	err    error
	action string
	status int
	shown  string // part of what the client is shown
}{
	"ErrNoQueue":              {protocol.ErrNoQueue, "message_get", 404, "Queue q does not exist for project p"},
	"ErrNoMessage":            {protocol.ErrNoMessage, "message_get", 404, "Message m does not exist in queue q for project p"},
	"ErrNoClaim":              {protocol.ErrNoClaim, "claim_get", 404, "Claim c does not exist."},
	"ErrClaimed":              {protocol.ErrClaimed, "message_delete", 403, "Message m is claimed"},
	"ErrNotClaimedBy":         {protocol.ErrNotClaimedBy, "message_delete", 403, "Message m is not claimed by c"},
	"ErrNotClaimed":           {protocol.ErrNotClaimed, "message_delete", 400, "Message m is no longer claimed"},
	"ErrNoSubscription":       {protocol.ErrNoSubscription, "subscription_get", 404, "Subscription s for queue q does not exist."},
	"ErrSubscriptionExists":   {protocol.ErrSubscriptionExists, "subscription_create", 409, "Subscription q not created."},
	"ErrNoPool":               {protocol.ErrNoPool, "pool_get", 404, "Pool p1 does not exist"},
	"ErrPoolExists":           {protocol.ErrPoolExists, "pool_create", 409, "is a pool already"},
	"ErrPoolUnreachable":      {protocol.ErrPoolUnreachable, "pool_create", 400, "cannot connect to postgres://u@h/d"},
	"ErrPoolUnfit":            {&protocol.FaultDetail{Fault: protocol.ErrPoolUnfit, Detail: "why"}, "pool_create", 400, "cannot use postgres://u@h/d: why"},
	"ErrPoolInUse":            {protocol.ErrPoolInUse, "pool_delete", 403, "Pool p1 is used"},
	"ErrNoFlavor":             {protocol.ErrNoFlavor, "flavor_get", 404, "Flavor f does not exist"},
	"ErrFlavorInUse":          {protocol.ErrFlavorInUse, "flavor_delete", 403, "Flavor f is used"},
	"ErrFlavorElsewhere":      {protocol.ErrFlavorElsewhere, "queue_update", 400, "Queue q is in none of the pools"},
	"ErrNoRoom":               {protocol.ErrNoRoom, "queue_create", 503, "No pool"},
	"ErrDeadLetterPool":       {protocol.ErrDeadLetterPool, "queue_create", 400, "_dead_letter_queue"},
	"ErrTooManyConfirmations": {protocol.ErrTooManyConfirmations, "subscription_create", 429, "As many requests for confirmation"},
	"ErrPostTooLarge":         {protocol.ErrPostTooLarge, "message_post", 400, "Message collection size is too large."},
	"ErrUnavailable":          {protocol.ErrUnavailable, "message_post", 503, ""},
	"ErrOutcomeUnknown":       {protocol.ErrOutcomeUnknown, "message_post", 503, ""},
	"ErrOverloaded":           {protocol.ErrOverloaded, "message_post", 503, ""},
	"ErrStopping":             {protocol.ErrStopping, "message_post", 503, ""},
}

func faultRequest(action string) *protocol.Request {
	return &protocol.Request{
		Action: protocol.ActionByName(action), ActionName: action, ProjectID: "p",
		Fields: protocol.Fields{
			QueueName: "q", MessageID: "m", ClaimID: "c", SubscriptionID: "s",
			PoolName: "p1", FlavorName: "f", URI: "postgres://u:secret@h/d",
		},
	}
}

func TestEverySentinelHasAnAnswer(t *testing.T) {
	t.Parallel()
	lim := protocol.DefaultLimits()
	for _, name := range declaredSentinels(t) {
		if name == "ErrLeaseLost" {
			continue // told to what delivers, not to clients
		}
		want, ok := sentinels[name]
		if !ok {
			t.Errorf("%s is in no table: what is a client told?", name)
			continue
		}
		e, known := faultOf(faultRequest(want.action), &lim, fmt.Errorf("wrapped: %w", want.err))
		if !known || e.Status != want.status || !strings.Contains(e.Exception+"|"+e.Text, want.shown) {
			t.Errorf("%s: %+v (known %v), want status %d and %q", name, e, known, want.status, want.shown)
		}
		if (e.Status == 503) != (e.RetryAfter > 0) {
			t.Errorf("%s: status %d, retry after %v", name, e.Status, e.RetryAfter)
		}
		if (e.Outcome == protocol.OutcomeUnknown) != (name == "ErrOutcomeUnknown") {
			t.Errorf("%s: outcome %q", name, e.Outcome)
		}
	}
}

// declaredSentinels reads the names of the errors in protocol's faults.go.
func declaredSentinels(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "protocol", "faults.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, name := range spec.Names {
				names = append(names, name.Name)
			}
		}
		return true
	})
	if len(names) < 13 {
		t.Fatalf("found only %v", names)
	}
	return names
}

func TestFaultsByAction(t *testing.T) {
	t.Parallel()
	lim := protocol.DefaultLimits()
	for _, tt := range []struct {
		action  string
		err     error
		status  int
		outcome string
	}{
		{"message_delete", protocol.ErrNoClaim, 400, ""},
		{"claim_update", protocol.ErrNoClaim, 404, ""},
		{"queue_get", context.DeadlineExceeded, 503, protocol.OutcomeNothing},
		{"queue_list", context.Canceled, 503, protocol.OutcomeNothing},
		{"queue_delete", context.DeadlineExceeded, 503, protocol.OutcomeUnknown},
		{"flavor_create", &protocol.FaultDetail{Fault: protocol.ErrFlavorInUse, Detail: "g"}, 403, ""},
		{"queue_create", protocol.ErrNoRoom, 503, protocol.OutcomeNothing},
		{"pool_create", fmt.Errorf("%w: %w", protocol.ErrPoolUnreachable, context.DeadlineExceeded), 400, ""},
	} {
		e, known := faultOf(faultRequest(tt.action), &lim, tt.err)
		if !known || e.Status != tt.status || e.Outcome != tt.outcome {
			t.Errorf("%s, %v: %+v", tt.action, tt.err, e)
		}
	}
}

// A queue whose flavor has no room is not made by trying again.
func TestNoRoomInFlavor(t *testing.T) {
	t.Parallel()
	lim := protocol.DefaultLimits()
	req := faultRequest("queue_create")
	req.Fields.Metadata = []byte(`{"_flavor": "g"}`)
	e, known := faultOf(req, &lim, fmt.Errorf("place queue: %w", protocol.ErrNoRoom))
	if !known || e.Status != 400 || e.RetryAfter != 0 || e.Outcome != "" || e.Exception != "No pool of flavor g takes the queue." {
		t.Errorf("%+v", e)
	}
}

func TestUnknownFaultsAreNotShown(t *testing.T) {
	t.Parallel()
	lim := protocol.DefaultLimits()
	e, known := faultOf(faultRequest("queue_get"), &lim, errors.New("password=secret"))
	if known || e.Status != 500 || strings.Contains(e.Exception+e.Text, "secret") {
		t.Errorf("%+v", e)
	}
}

func TestEveryActionHasAHandler(t *testing.T) {
	t.Parallel()
	for _, a := range protocol.Actions() {
		if h := handlersByAction[a]; h == nil || h.run == nil {
			t.Errorf("%s has no handler", a.Name)
		}
	}
	if n := len(protocol.Actions()); n != len(handlers) {
		t.Errorf("%d handlers for %d actions", len(handlers), n)
	}
}

func TestHandlerConfigIsChecked(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Handlers.OperationTimeout = 0
	if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), "OperationTimeout") {
		t.Errorf("OperationTimeout out of range: %v", err)
	}
}

func TestPushConfigCheck(t *testing.T) {
	t.Parallel()
	if err := DefaultPushConfig().Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*PushConfig){
		"RingBytes":       func(c *PushConfig) { c.RingBytes = 0 },
		"TotalRingBytes":  func(c *PushConfig) { c.TotalRingBytes = c.RingBytes - 1 },
		"Readers":         func(c *PushConfig) { c.Readers = 0 },
		"PollInterval":    func(c *PushConfig) { c.PollInterval = 0 },
		"ObserveInterval": func(c *PushConfig) { c.ObserveInterval = time.Minute },
	} {
		cfg := DefaultPushConfig()
		change(&cfg)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s out of range: %v", name, err)
		}
	}
}
