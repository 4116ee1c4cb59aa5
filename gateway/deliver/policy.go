package deliver

import (
	"encoding/json"
	"math"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// Zaqar's defaults (zaqar/common/consts.py); delays are seconds.
const (
	defaultRetries      = 3 // of each of the phases that count
	defaultMinimumDelay = 5
	defaultMaximumDelay = 30
	// backoffInterval is the step of the linear function, and the number of seconds per step of the others.
	backoffInterval = 5
)

// maxDelay bounds a single wait: a policy may name any number of seconds.
const maxDelay = 24 * time.Hour

// maxPolicyNumber bounds the numbers of a policy, so that sums of them do not overflow.
const maxPolicyNumber = 1 << 31

// retryPolicy says when a delivery that has failed is tried again. There are four phases: retries without delay, retries
// after the minimum delay, a backoff from the minimum to the maximum delay, retries after the maximum delay.
type retryPolicy struct {
	noDelay, minimumRetries, maximumRetries int64
	minimum, maximum                        int64 // seconds
	backoff                                 backoff
}

// backoff is the third phase.
type backoff struct {
	// linear says that the steps which begin below the maximum count, rather than those that fit in whole.
	linear bool
	// delay returns the delay before retry number i (from 0) of steps, in seconds.
	delay func(i, steps int64, least, most float64) float64
}

// backoffs are the values of retry_backoff_function. The formulas are Zaqar's (zaqar/notification/tasks/webhook.py), whose
// geometric and exponential functions are two spellings of one.
var backoffs = map[string]backoff{
	"":            {linear: true, delay: linearBackoff},
	"linear":      {linear: true, delay: linearBackoff},
	"arithmetic":  {delay: arithmeticBackoff},
	"geometric":   {delay: geometricBackoff},
	"exponential": {delay: geometricBackoff},
}

func linearBackoff(i, _ int64, least, _ float64) float64 { return least + float64(i*backoffInterval) }

// arithmeticBackoff grows by d, 2d, 3d, …, so that the last delay is the most.
func arithmeticBackoff(i, steps int64, least, most float64) float64 {
	if steps < 2 {
		return least
	}
	d := 2 * (most - least) / (float64(steps) * float64(steps-1))
	return least + float64(i)*float64(i+1)*d/2
}

// geometricBackoff grows by a factor, so that the last delay is the most.
func geometricBackoff(i, steps int64, least, most float64) float64 {
	least = max(least, 1) // from 0 no factor leads anywhere
	if steps < 2 {
		return least
	}
	return least * math.Pow(most/least, float64(i)/float64(steps-1))
}

// steps is how many retries the backoff has.
func (p *retryPolicy) steps() int64 {
	span := p.maximum - p.minimum
	if p.backoff.linear {
		span += backoffInterval - 1
	}
	return max(span/backoffInterval, 0)
}

// policyJSON are the members of a _retry_policy. They are read by their exact names, as they were checked.
type policyJSON map[string]json.RawMessage

// policyOf chooses the policy of a subscription as Zaqar does: its own, else the queue's, else the defaults; the queue's
// also where either says that the subscription's is to be ignored.
func policyOf(d *protocol.Durable) retryPolicy {
	own, queue := readPolicy(readPolicy(d.Subscription.Options)["_retry_policy"]), readPolicy(d.Policy)
	if len(own) > 0 && !own.ignoresOverride() && !queue.ignoresOverride() {
		return own.policy()
	}
	return queue.policy()
}

// readPolicy reads an object. Policies were checked when they were stored: what cannot be read is none.
func readPolicy(text []byte) (p policyJSON) {
	if json.Unmarshal(text, &p) != nil {
		return nil
	}
	return p
}

func (p policyJSON) ignoresOverride() bool {
	return string(p["ignore_subscription_override"]) == "true"
}

// number returns a member that is a whole number, in bounds.
func (p policyJSON) number(name string, absent int64) int64 {
	v := absent
	if json.Unmarshal(p[name], &v) != nil {
		return absent
	}
	return min(max(v, 0), maxPolicyNumber)
}

func (p policyJSON) policy() retryPolicy {
	var name string
	_ = json.Unmarshal(p["retry_backoff_function"], &name) // absent is ""
	function, ok := backoffs[name]
	if !ok {
		function = backoffs["linear"]
	}
	return retryPolicy{
		noDelay:        p.number("retries_with_no_delay", defaultRetries),
		minimumRetries: p.number("minimum_delay_retries", defaultRetries),
		maximumRetries: p.number("maximum_delay_retries", defaultRetries),
		minimum:        p.number("minimum_delay", defaultMinimumDelay),
		maximum:        p.number("maximum_delay", defaultMaximumDelay),
		backoff:        function,
	}
}

// delay returns how long to wait after so many failed attempts (1 or more) before the next; again is false when there is
// to be none.
func (p *retryPolicy) delay(failed int) (wait time.Duration, again bool) {
	i := int64(failed) - 1
	steps := p.steps()
	for _, phase := range []struct {
		retries int64
		seconds func(i int64) float64
	}{
		{p.noDelay, func(int64) float64 { return 0 }},
		{p.minimumRetries, func(int64) float64 { return float64(p.minimum) }},
		{steps, func(i int64) float64 { return p.backoff.delay(i, steps, float64(p.minimum), float64(p.maximum)) }},
		{p.maximumRetries, func(int64) float64 { return float64(p.maximum) }},
	} {
		if i < phase.retries {
			return wholeSeconds(phase.seconds(i)), true
		}
		i -= phase.retries
	}
	return 0, false
}

// wholeSeconds cuts a delay to seconds, as Zaqar does. Where the function ends on the maximum, rounding must not make it
// a second less.
func wholeSeconds(v float64) time.Duration {
	return min(time.Duration(min(math.Floor(v+1e-6), maxPolicyNumber))*time.Second, maxDelay)
}
