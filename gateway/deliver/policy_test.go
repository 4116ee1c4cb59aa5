package deliver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// schedule prints the delays of a policy in seconds until it gives up.
func schedule(p retryPolicy) string {
	var delays []string
	for failed := 1; failed < 100; failed++ {
		wait, again := p.delay(failed)
		if !again {
			return strings.Join(delays, " ")
		}
		delays = append(delays, fmt.Sprint(int(wait/time.Second)))
	}
	return strings.Join(delays, " ") + " …"
}

func TestRetryPolicy(t *testing.T) {
	t.Parallel()
	const just = `"retries_with_no_delay": 0, "minimum_delay_retries": 0, "maximum_delay_retries": 0, `
	for _, c := range []struct{ name, policy, want string }{
		// The delays were computed by hand from the formulas in zaqar/notification/tasks/webhook.py.
		{"defaults", ``, "0 0 0 5 5 5 5 10 15 20 25 30 30 30"},
		{"empty is none", `{}`, "0 0 0 5 5 5 5 10 15 20 25 30 30 30"},
		{"counts", `{"retries_with_no_delay": 1, "minimum_delay_retries": 2, "maximum_delay_retries": 0}`, "0 5 5 5 10 15 20 25"},
		{"linear", `{` + just + `"retry_backoff_function": "linear", "minimum_delay": 2, "maximum_delay": 20}`, "2 7 12 17"},
		{"linear, not a multiple", `{` + just + `"minimum_delay": 0, "maximum_delay": 11}`, "0 5 10"},
		// steps 4, d = 2*20/(4*3) = 3.33: 10, 13.3, 20, 30
		{"arithmetic", `{` + just + `"retry_backoff_function": "arithmetic", "minimum_delay": 10, "maximum_delay": 30}`, "10 13 20 30"},
		// steps 5, d = 2*25/(5*4) = 2.5: 5, 7.5, 12.5, 20, 30
		{"arithmetic, defaults", `{` + just + `"retry_backoff_function": "arithmetic"}`, "5 7 12 20 30"},
		// steps 5, k = 6^(1/4) = 1.5651: 5, 7.83, 12.25, 19.17, 30
		{"geometric", `{` + just + `"retry_backoff_function": "geometric"}`, "5 7 12 19 30"},
		// steps 3, k = (16/1)^(1/2) = 4: 1, 4, 16
		{"exponential", `{` + just + `"retry_backoff_function": "exponential", "minimum_delay": 1, "maximum_delay": 16}`, "1 4 16"},
		{"geometric from 0", `{` + just + `"retry_backoff_function": "geometric", "minimum_delay": 0, "maximum_delay": 16}`, "1 4 16"},
		{"no backoff between equal delays", `{"minimum_delay": 3, "maximum_delay": 3, "retry_backoff_function": "arithmetic"}`, "0 0 0 3 3 3 3 3 3"},
		{"never", `{` + just + `"minimum_delay": 9, "maximum_delay": 9}`, ""},
		{"unreadable is none", `{"minimum_delay": "x"}`, "0 0 0 5 5 5 5 10 15 20 25 30 30 30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			own := &protocol.Durable{Subscription: protocol.Subscription{Options: []byte(`{}`)}}
			if c.policy != "" {
				own.Subscription.Options = []byte(`{"_retry_policy": ` + c.policy + `}`)
			}
			if got := schedule(policyOf(own)); got != c.want {
				t.Errorf("in options: %q, want %q", got, c.want)
			}
			queue := &protocol.Durable{Policy: []byte(c.policy)}
			if got := schedule(policyOf(queue)); got != c.want {
				t.Errorf("in metadata: %q, want %q", got, c.want)
			}
		})
	}
}

// TestRetryPolicyBounds has numbers that would overflow, and functions of huge ranges that must not be listed.
func TestRetryPolicyBounds(t *testing.T) {
	t.Parallel()
	p := policyOf(&protocol.Durable{Policy: []byte(`{"retries_with_no_delay": 9223372036854775807, "minimum_delay": 9223372036854775806,
		"minimum_delay_retries": 9223372036854775807, "maximum_delay": 9223372036854775807, "retry_backoff_function": "geometric"}`)})
	for _, failed := range []int{1, 1 << 31, 1<<31 + 1, 1 << 33} {
		if wait, _ := p.delay(failed); wait < 0 || wait > maxDelay {
			t.Errorf("after %d failures: %s", failed, wait)
		}
	}
}

func TestWhosePolicy(t *testing.T) {
	t.Parallel()
	const own, queue = "own", "queue"
	for _, c := range []struct{ options, metadata, want string }{
		{`{"maximum_delay_retries": 1}`, `{"maximum_delay_retries": 2}`, own},
		{`{"maximum_delay_retries": 1, "ignore_subscription_override": true}`, `{"maximum_delay_retries": 2}`, queue},
		{`{"maximum_delay_retries": 1}`, `{"maximum_delay_retries": 2, "ignore_subscription_override": true}`, queue},
		{`{}`, `{"maximum_delay_retries": 2}`, queue},
		{`{"maximum_delay_retries": 1}`, ``, own},
	} {
		p := policyOf(&protocol.Durable{
			Subscription: protocol.Subscription{Options: []byte(`{"_retry_policy": ` + c.options + `}`)}, Policy: []byte(c.metadata),
		})
		got := map[int64]string{1: own, 2: queue}[p.maximumRetries]
		if got != c.want {
			t.Errorf("options %s, metadata %s: the policy is %q's, want %q's", c.options, c.metadata, got, c.want)
		}
	}
}
