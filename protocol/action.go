package protocol

// Class says how an action may overlap with other actions of the same session on the same queue.
type Class uint8

// The classes of actions. Unfinished actions of one of the first four classes may overlap with their like; everything
// else waits for what was sent before it.
const (
	// ClassPost stores messages: consecutive posts share a group commit and keep their order.
	ClassPost Class = iota + 1
	// ClassClaim claims messages.
	ClassClaim
	// ClassDelete deletes messages by id.
	ClassDelete
	// ClassRead changes nothing.
	ClassRead
	// ClassExclusive runs alone in its queue's lane.
	ClassExclusive
	// ClassSession names no queue: it waits for everything that the session sent before it, and what follows waits for it.
	ClassSession
)

// Action is one row of the action table: what a frame of that action must and may carry. Actions are compared by
// pointer; the table is read-only.
type Action struct {
	// Name is the wire's word for it.
	Name string
	// Required are the body fields without which a frame is refused.
	Required FieldSet
	// Optional are the other body fields that the action reads. All further fields are ignored, whatever their type.
	Optional FieldSet
	// Class is the static class; Request.Class knows the exceptions.
	Class Class
	// headers are the required headers.
	headers headerSet
	// bodyless says that the frame's body may be left out.
	bodyless bool
	// strictClientID says that Client-ID has to be a UUID.
	strictClientID bool
	// plainEcho leaves body and headers out of the echo.
	plainEcho bool
	// check tests what goes beyond types: names, ranges, and fields that exclude one another. Nil for none.
	check func(*Request, *Limits) *Error
}

// fields are all fields that the action reads.
func (a *Action) fields() FieldSet { return a.Required | a.Optional }

// actions is the action table. What is not in it is answered "X is not a valid action".
var actions = [...]Action{
	{Name: "queue_create", Required: FieldQueueName, Optional: FieldMetadata, Class: ClassExclusive, check: checkQueueCreate},
	{Name: "queue_get", Required: FieldQueueName, Class: ClassRead, check: checkQueueName},
	{Name: "queue_list", Optional: FieldMarker | FieldLimit | FieldDetailed | FieldWithCount, Class: ClassSession,
		bodyless: true, check: checkQueueList},
	{Name: "queue_delete", Required: FieldQueueName, Class: ClassExclusive, check: checkQueueName},
	{Name: "queue_get_stats", Required: FieldQueueName, Class: ClassRead, check: checkQueueName},
	{Name: "queue_purge", Required: FieldQueueName, Optional: FieldResourceTypes, Class: ClassExclusive, check: checkQueueName},

	{Name: "message_post", Required: FieldQueueName | FieldMessages, Class: ClassPost, strictClientID: true, check: checkMessagePost},
	{Name: "message_list", Required: FieldQueueName, Class: ClassRead, strictClientID: true, check: checkMessageList,
		Optional: FieldMarker | FieldLimit | FieldEcho | FieldIncludeClaimed | FieldIncludeDelayed},
	{Name: "message_get", Required: FieldQueueName | FieldMessageID, Class: ClassRead, check: checkQueueName},
	{Name: "message_get_many", Required: FieldQueueName | FieldMessageIDs, Class: ClassRead, check: checkMessageGetMany},
	{Name: "message_delete", Required: FieldQueueName | FieldMessageID, Optional: FieldClaimID, Class: ClassDelete, check: checkQueueName},
	{Name: "message_delete_many", Required: FieldQueueName, Optional: FieldMessageIDs | FieldClaimIDs | FieldPop,
		Class: ClassDelete, check: checkMessageDeleteMany},

	{Name: "claim_create", Required: FieldQueueName, Optional: FieldLimit | FieldTTL | FieldGrace, Class: ClassClaim, check: checkClaimCreate},
	{Name: "claim_get", Required: FieldQueueName | FieldClaimID, Class: ClassRead, check: checkQueueName},
	{Name: "claim_update", Required: FieldQueueName | FieldClaimID, Optional: FieldTTL | FieldGrace, Class: ClassExclusive, check: checkClaimUpdate},
	{Name: "claim_delete", Required: FieldQueueName | FieldClaimID, Class: ClassExclusive, check: checkQueueName},

	{Name: "subscription_create", Required: FieldQueueName, Optional: FieldSubscriber | FieldTTL | FieldOptions,
		Class: ClassExclusive, check: checkSubscriptionCreate},
	{Name: "subscription_get", Required: FieldQueueName | FieldSubscriptionID, Class: ClassRead, check: checkQueueName},
	{Name: "subscription_list", Required: FieldQueueName, Optional: FieldMarker | FieldLimit, Class: ClassRead, check: checkSubscriptionList},
	{Name: "subscription_delete", Required: FieldQueueName | FieldSubscriptionID, Class: ClassExclusive, check: checkQueueName},

	{Name: "authenticate", Class: ClassSession, bodyless: true, plainEcho: true},
}

// actionsByName and the headers that an action requires are derived from the table once.
var actionsByName = indexActions()

func indexActions() map[string]*Action {
	byName := make(map[string]*Action, len(actions))
	for i := range actions {
		a := &actions[i]
		a.headers = headerClientID | headerProjectID
		if a.Name == "authenticate" {
			a.headers = headerProjectID | headerAuthToken
		}
		byName[a.Name] = a
	}
	return byName
}

// Actions returns the action table in its order. The actions are shared: do not change them.
func Actions() []*Action {
	list := make([]*Action, len(actions))
	for i := range actions {
		list[i] = &actions[i]
	}
	return list
}

// ActionByName returns the action of that name, or nil when there is none.
func ActionByName(name string) *Action { return actionsByName[name] }
