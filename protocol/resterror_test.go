package protocol

import (
	"errors"
	"testing"
	"time"
)

// What REST says of the errors that a store makes, as recorded; the first column is the status.
func TestRESTErrors(t *testing.T) {
	t.Parallel()
	q := QueueKey{Project: "PROJECT", Name: "q"}
	topic := QueueKey{Project: "PROJECT", Name: TopicPrefix + "q"}
	ask := func(action string) *Request {
		return &Request{Action: ActionByName(action), ProjectID: "PROJECT", Fields: Fields{QueueName: "q", FlavorName: "f2"}}
	}
	const again = " Please try again in a few seconds."
	for _, test := range []struct {
		err         *Error
		status      int
		title, text string
	}{
		{ErrorQueueMissing(q), 404, "Not found", "Queue q does not exist for project PROJECT"},
		{ErrorQueueMissing(topic), 404, "Not found", "Topic q does not exist for project PROJECT"},
		{ErrorMessageMissing(q, "nope"), 404, "Not found", "Message nope does not exist in queue q for project PROJECT"},
		{ErrorMessagesMissing(q, []string{"nope", "it's"}), 404, "Not found",
			`No messages with IDs: ['nope', "it's"] found in the queue q for project PROJECT.`},
		{ErrorClaimMissing(q, "nope"), 404, "Not found", "Claim nope does not exist in queue q for project PROJECT"},
		{ErrorDeleteClaimMissing(q, "nope"), 400, "Unable to delete", "The specified claim does not exist or has expired."},
		{ErrorMessageClaimed("m"), 403, "Unable to delete", "This message is claimed; it cannot be deleted without a valid claim ID."},
		{ErrorMessageNotClaimedBy("m", "c"), 403, "Unable to delete", "This message is claimed; it cannot be deleted without a valid claim ID."},
		{ErrorMessageNotClaimed("m"), 400, "Unable to delete", "A claim was specified, but the message is not currently claimed."},
		{ErrorSubscriptionMissing("q", "nope"), 404, "Not found", "Subscription nope does not exist"},
		{ErrorSubscriptionExists(ask("subscription_create")), 409, "Resource conflict",
			"Such subscription already exists.Subscriptions are unique by project + queue + subscriber URI."},
		{ErrorSubscriptionExists(ask("subscription_update")), 409, "Resource conflict",
			"Such subscription already exists. Subscriptions are unique by project + queue + subscriber URI."},
		{ErrorPostTooLarge(262144), 400, "Invalid API request", "Message collection size is too large. Max size 262144"},
		{ErrorNotAdmin(), 403, "Not authorized", "You are not authorized to complete this action."},
		{ErrorPoolMissing("nope"), 404, "Not found", "Pool nope does not exist"},
		{ErrorPoolUnreachable("localhost", "", errors.New("no")), 400, "Invalid request body", "cannot connect to localhost"},
		{ErrorPoolInUseByFlavor("f1"), 403, "Unable to delete", "This pool is used by flavors f1; It cannot be deleted."},
		{ErrorFlavorMissing("nope"), 404, "Not found", "Flavor nope does not exist"},
		{ErrorFlavorPoolMissing(ask("flavor_create"), "nope"), 400, "Unable to create", "Flavor f2 could not be created, error:Pool nope does not exist"},
		{ErrorFlavorPoolMissing(ask("flavor_update"), "nope"), 400, "updatefail", "Flavor f2 cant be updated, error:Pool nope does not exist"},
		{ErrorUnavailable(time.Second, nil), 503, "Service temporarily unavailable", "The message store does not answer." + again},
		{ErrorInternal(errors.New("secret")), 500, "Internal server error", "Internal error."},
		{ErrorNotAuthenticated(), 403, "Not authorized", "Not authentified."},
	} {
		title, text := test.err.REST()
		if test.err.Status != test.status || title != test.title || text != test.text {
			t.Errorf("%v: %d %q %q", test.err, test.err.Status, title, text)
		}
	}
}
