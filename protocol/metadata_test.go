package protocol

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckMetadata(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	got, err := CheckMetadata([]byte(`{"_default_message_ttl":60,"_default_message_delay":900,"_max_messages_post_size":1,"_max_claim_count":3,
		"_dead_letter_queue":"dead","_dead_letter_queue_messages_ttl":1209600,"_enable_encrypt_messages":false,"_flavor":"x","own":[1.5]}`), &lim)
	if err != nil {
		t.Fatal(err)
	}
	want := QueueSettings{DefaultTTL: 60, DeadLetterTTL: 1209600, DefaultDelay: 900, MaxPostBytes: 1, MaxClaimCount: 3, DeadLetterQueue: "dead"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := CheckMetadata([]byte(`{"_default_message_ttl":null,"_dead_letter_queue":null}`), &lim); err != nil || got != (QueueSettings{}) {
		t.Errorf("nulls: %v, %+v", err, got)
	}
}

func TestCheckMetadataRefuses(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	for metadata, text := range map[string]string{
		`[]`:                                         "must be an object",
		`{"_default_message_ttl":0}`:                 "_default_message_ttl can not exceed 1209600 seconds, and must be at least 60",
		`{"_default_message_ttl":60.0}`:              "_default_message_ttl must be integer.",
		`{"_default_message_ttl":true}`:              "_default_message_ttl must be integer.",
		`{"_default_message_ttl":9e99}`:              "_default_message_ttl must be integer.",
		`{"_default_message_delay":-1}`:              "The TTL can not exceed 900 seconds",
		`{"_max_messages_post_size":0}`:              "_max_messages_post_size can not exceed 262144,  and must",
		`{"_max_claim_count":-1}`:                    "_max_claim_count can not exceed",
		`{"_dead_letter_queue":1}`:                   "_dead_letter_queue must be string.",
		`{"_dead_letter_queue":""}`:                  "_dead_letter_queue must be the name of a queue.",
		`{"_enable_encrypt_messages":1}`:             "_enable_encrypt_messages must be boolean.",
		`{"x":"` + strings.Repeat("x", 65529) + `"}`: "Queue metadata is too large. Max size: 65536",
	} {
		if _, err := CheckMetadata([]byte(metadata), &lim); err == nil || !strings.Contains(err.Exception, text) || err.Status != 400 {
			t.Errorf("%.40s: %v, want %s", metadata, err, text)
		}
	}
}

func TestRetryPolicy(t *testing.T) {
	t.Parallel()
	for policy, text := range map[string]string{
		`{}`: "", `null`: "",
		`{"retries_with_no_delay":1,"minimum_delay_retries":2,"minimum_delay":5,"maximum_delay":15,"maximum_delay_retries":3,"retry_backoff_function":"linear","ignore_subscription_override":true}`: "",
		`"x"`:                                  "retry_policy must be a dict.",
		`{"retry_backoff_function":1}`:         "retry_backoff_function must be a string.",
		`{"retry_backoff_function":"cubic"}`:   "invalid retry_backoff_function.",
		`{"ignore_subscription_override":"x"}`: "ignore_subscription_override must be a boolean.",
		`{"minimum_delay":"5"}`:                "Retry policy: minimum_delay must be a integer.",
		`{"maximum_delay":-1}`:                 "Retry policy: maximum_delay must be a integer.",
		`{"minimum_delay":31}`:                 "minimum_delay must less than maximum_delay.",
		`{"minimum_delay":21}`:                 "invalid minimum_delay and maximum_delay.",
	} {
		err := checkOptions([]byte(`{"_retry_policy":`+policy+`}`), false)
		if (err == nil) != (text == "") || err != nil && err.Exception != text {
			t.Errorf("%s: %v, want %q", policy, err, text)
		}
	}
}
