package protocol

import (
	"encoding/json"
	"slices"
)

// Zaqar's defaults and granularity of the delays between retries, in seconds.
const (
	retryMinimumDelay = 5
	retryMaximumDelay = 30
	retryInterval     = 5
)

// retryPolicy checks the attribute _retry_policy, which queues and subscriptions share.
func (r *attributes) retryPolicy() {
	value := r.value("_retry_policy")
	if value == nil {
		return
	}
	policy := attributes{}
	if json.Unmarshal(value, &policy.values) != nil {
		r.fail("retry_policy must be a dict.")
		return
	}
	policy.retryWords()
	for _, name := range []string{"retries_with_no_delay", "minimum_delay_retries", "maximum_delay_retries"} {
		policy.retryNumber(name, 0)
	}
	least := policy.retryNumber("minimum_delay", retryMinimumDelay)
	most := policy.retryNumber("maximum_delay", retryMaximumDelay)
	switch {
	case policy.fault != nil:
		r.fail(policy.fault.Exception)
	case len(policy.values) == 0: // an empty policy is none
	case most < least:
		r.fail("minimum_delay must less than maximum_delay.")
	case most-least < 2*retryInterval:
		r.fail("invalid minimum_delay and maximum_delay.")
	}
}

// retryWords checks the attributes that are no numbers.
func (r *attributes) retryWords() {
	if value := r.value("retry_backoff_function"); value != nil {
		var name string
		switch {
		case json.Unmarshal(value, &name) != nil:
			r.fail("retry_backoff_function must be a string.")
		case !slices.Contains([]string{"", "linear", "arithmetic", "exponential", "geometric"}, name):
			r.fail("invalid retry_backoff_function.")
		}
	}
	if v := string(r.value("ignore_subscription_override")); v != "" && v != "true" && v != "false" {
		r.fail("ignore_subscription_override must be a boolean.")
	}
}

// retryNumber reads an attribute that must be a whole number, not negative.
func (r *attributes) retryNumber(name string, absent int64) int64 {
	value := r.value(name)
	if value == nil {
		return absent
	}
	var v int64
	if json.Unmarshal(value, &v) != nil || v < 0 {
		r.fail("Retry policy: " + name + " must be a integer.")
	}
	return v
}
