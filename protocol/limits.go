package protocol

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Limits are what clients may ask for. All of them are settings; DefaultLimits has Zaqar's values. A Limits is
// read-only once it is in use.
type Limits struct {
	// MaxFrameBytes is the largest frame that is read, in bytes; a larger one closes the session with 1009. It has to
	// leave room above MaxPostBytes, for a post that is too large is answered. 1024 to 1 GiB, default 1 MiB.
	MaxFrameBytes int
	// MaxDepth is how deep arrays and objects of a frame may nest. 8 to 1000, default 128.
	MaxDepth int
	// MaxIDBytes is the size of a frame's "id" in bytes, as encoded. 16 to 4096, default 256.
	MaxIDBytes int

	// MaxQueueNameLength is the length of a queue's name in characters. 1 to 255, default 64.
	MaxQueueNameLength int
	// MaxProjectIDLength is the length of a project's id in characters. 1 to 1024, default 256.
	MaxProjectIDLength int
	// MaxMetadataBytes is the size of a queue's metadata in bytes, as sent. 2 to 1 MiB, default 65,536.
	MaxMetadataBytes int

	// MaxPostBytes is the size of all messages of one post in bytes, as sent. 64 to 256 MiB, default 262,144.
	MaxPostBytes int
	// MaxMessagesPerPost is how many messages one post may hold, 1 to 100,000, default 2000. Zaqar counts bytes only.
	MaxMessagesPerPost int
	// MinMessageTTL, MaxMessageTTL and DefaultMessageTTL are seconds: 60, 1,209,600 and 3600 by default.
	MinMessageTTL, MaxMessageTTL, DefaultMessageTTL int32
	// MaxMessageDelay is seconds, default 900. The smallest delay, and the default, is none.
	MaxMessageDelay int32

	// MinClaimTTL, MaxClaimTTL and DefaultClaimTTL are seconds: 60, 43,200 and 300 by default.
	MinClaimTTL, MaxClaimTTL, DefaultClaimTTL int32
	// MinClaimGrace, MaxClaimGrace and DefaultClaimGrace are seconds: 60, 43,200 and 60 by default.
	MinClaimGrace, MaxClaimGrace, DefaultClaimGrace int32
	// MaxMessagesPerClaim is how many messages one claim or pop takes, 1 to 10,000, default 20. A claim that does not say
	// takes DefaultMessagesPerClaim, 10.
	MaxMessagesPerClaim, DefaultMessagesPerClaim int

	// MaxQueuesPerPage (topics too), MaxMessagesPerPage, MaxSubscriptionsPerPage (dead deliveries too), MaxPoolsPerPage and
	// MaxFlavorsPerPage bound a list's page, 1 to 10,000, default 20. MaxMessagesPerPage bounds message_get_many and
	// message_delete_many too.
	MaxQueuesPerPage, MaxMessagesPerPage, MaxSubscriptionsPerPage, MaxPoolsPerPage, MaxFlavorsPerPage int
	// DefaultPage is the page of a list that does not say, default 10.
	DefaultPage int

	// MaxWait is how many seconds claim_create and message_list may wait, 0 to 3600, default 60.
	MaxWait int32

	// MinSubscriptionTTL, MaxSubscriptionTTL and DefaultSubscriptionTTL are seconds: 60, 2,147,483,647 and 3600 by default.
	MinSubscriptionTTL, MaxSubscriptionTTL, DefaultSubscriptionTTL int32
	// MaxSubscriberBytes is the size of a subscriber's URI in bytes, 64 to 2048, which is about what the database's index
	// takes; default 2048.
	MaxSubscriberBytes int
	// MaxOptionsBytes is the size of the options of a subscription or of a pool in bytes, as JSON. 2 to 1 MiB, default
	// 16,384.
	MaxOptionsBytes int
	// SubscriberSchemes are the URI schemes of subscribers, default http, https and mailto.
	SubscriberSchemes []string

	// MessageDeleteWithClaimID makes message_delete_many by ids demand the claims that hold the messages. Default off.
	MessageDeleteWithClaimID bool
}

// DefaultLimits returns the limits that hold when nothing is set: those of Zaqar.
func DefaultLimits() Limits {
	return Limits{
		MaxFrameBytes: 1 << 20, MaxDepth: 128, MaxIDBytes: 256,
		MaxQueueNameLength: 64, MaxProjectIDLength: 256, MaxMetadataBytes: 65536,
		MaxPostBytes: 262144, MaxMessagesPerPost: 2000,
		MinMessageTTL: 60, MaxMessageTTL: 1209600, DefaultMessageTTL: 3600, MaxMessageDelay: 900,
		MinClaimTTL: 60, MaxClaimTTL: 43200, DefaultClaimTTL: 300,
		MinClaimGrace: 60, MaxClaimGrace: 43200, DefaultClaimGrace: 60,
		MaxMessagesPerClaim: 20, DefaultMessagesPerClaim: 10,
		MaxQueuesPerPage: 20, MaxMessagesPerPage: 20, MaxSubscriptionsPerPage: 20, MaxPoolsPerPage: 20, MaxFlavorsPerPage: 20,
		DefaultPage: 10, MaxWait: 60,
		MinSubscriptionTTL: 60, MaxSubscriptionTTL: math.MaxInt32, DefaultSubscriptionTTL: 3600,
		MaxSubscriberBytes: 2048, MaxOptionsBytes: 16384,
		SubscriberSchemes: []string{"http", "https", "mailto"},
	}
}

// limitRange is a limit's value and the range in which it makes sense.
type limitRange struct {
	name            string
	value, min, max int64
}

// Check says which limits are out of their range or contradict one another; nil if all is well.
func (l Limits) Check() error {
	var faults []string
	for _, r := range l.ranges() {
		if r.value < r.min || r.value > r.max {
			faults = append(faults, fmt.Sprintf("%s is %d, must be %d to %d", r.name, r.value, r.min, r.max))
		}
	}
	if len(l.SubscriberSchemes) == 0 || slices.Contains(l.SubscriberSchemes, "") {
		faults = append(faults, "SubscriberSchemes must name at least one scheme, and none may be empty")
	}
	if faults != nil {
		return fmt.Errorf("limits: %s", strings.Join(faults, "; "))
	}
	return nil
}

func (l *Limits) ranges() []limitRange {
	page := min(l.MaxQueuesPerPage, l.MaxMessagesPerPage, l.MaxSubscriptionsPerPage, l.MaxPoolsPerPage, l.MaxFlavorsPerPage)
	return []limitRange{
		{"MaxFrameBytes", int64(l.MaxFrameBytes), int64(max(1024, l.MaxPostBytes, l.MaxMetadataBytes, l.MaxOptionsBytes)), 1 << 30},
		{"MaxDepth", int64(l.MaxDepth), 8, 1000},
		{"MaxIDBytes", int64(l.MaxIDBytes), 16, 4096},
		{"MaxQueueNameLength", int64(l.MaxQueueNameLength), 1, 255},
		{"MaxProjectIDLength", int64(l.MaxProjectIDLength), 1, 1024},
		{"MaxMetadataBytes", int64(l.MaxMetadataBytes), 2, 1 << 20},
		{"MaxPostBytes", int64(l.MaxPostBytes), 64, 256 << 20},
		{"MaxMessagesPerPost", int64(l.MaxMessagesPerPost), 1, 100_000},
		{"MinMessageTTL", int64(l.MinMessageTTL), 1, int64(l.MaxMessageTTL)},
		{"MaxMessageTTL", int64(l.MaxMessageTTL), 1, math.MaxInt32},
		{"DefaultMessageTTL", int64(l.DefaultMessageTTL), int64(l.MinMessageTTL), int64(l.MaxMessageTTL)},
		{"MaxMessageDelay", int64(l.MaxMessageDelay), 0, math.MaxInt32},
		{"MinClaimTTL", int64(l.MinClaimTTL), 1, int64(l.MaxClaimTTL)},
		{"MaxClaimTTL", int64(l.MaxClaimTTL), 1, math.MaxInt32},
		{"DefaultClaimTTL", int64(l.DefaultClaimTTL), int64(l.MinClaimTTL), int64(l.MaxClaimTTL)},
		{"MinClaimGrace", int64(l.MinClaimGrace), 0, int64(l.MaxClaimGrace)},
		{"MaxClaimGrace", int64(l.MaxClaimGrace), 0, math.MaxInt32},
		{"DefaultClaimGrace", int64(l.DefaultClaimGrace), int64(l.MinClaimGrace), int64(l.MaxClaimGrace)},
		{"MaxMessagesPerClaim", int64(l.MaxMessagesPerClaim), 1, 10000},
		{"DefaultMessagesPerClaim", int64(l.DefaultMessagesPerClaim), 1, int64(l.MaxMessagesPerClaim)},
		{"MaxQueuesPerPage", int64(l.MaxQueuesPerPage), 1, 10000},
		{"MaxMessagesPerPage", int64(l.MaxMessagesPerPage), 1, 10000},
		{"MaxSubscriptionsPerPage", int64(l.MaxSubscriptionsPerPage), 1, 10000},
		{"MaxPoolsPerPage", int64(l.MaxPoolsPerPage), 1, 10000},
		{"MaxFlavorsPerPage", int64(l.MaxFlavorsPerPage), 1, 10000},
		{"MaxWait", int64(l.MaxWait), 0, 3600},
		{"DefaultPage", int64(l.DefaultPage), 1, int64(page)},
		{"MinSubscriptionTTL", int64(l.MinSubscriptionTTL), 1, int64(l.MaxSubscriptionTTL)},
		{"MaxSubscriptionTTL", int64(l.MaxSubscriptionTTL), 1, math.MaxInt32},
		{"MaxSubscriberBytes", int64(l.MaxSubscriberBytes), 64, 2048},
		{"MaxOptionsBytes", int64(l.MaxOptionsBytes), 2, 1 << 20},
		{"DefaultSubscriptionTTL", int64(l.DefaultSubscriptionTTL), int64(l.MinSubscriptionTTL), int64(l.MaxSubscriptionTTL)},
	}
}
