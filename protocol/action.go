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
	// Admin says that only an administrator may ask for it.
	Admin bool
	// headers are the required headers.
	headers headerSet
	// rest says how REST tells the same; nil where it does not.
	rest *restForm
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

// actions is the action table. What is not in it is answered "X is not a valid action". A topic_name that is optional
// stands for a queue_name that is required.
var actions = [...]Action{
	{Name: "queue_create", Required: FieldQueueName, Optional: FieldMetadata, Class: ClassExclusive, check: checkQueueCreate},
	{Name: "queue_get", Required: FieldQueueName, Class: ClassRead, check: checkName},
	{Name: "queue_list", Optional: listFields, Class: ClassSession, bodyless: true, check: checkQueueList},
	{Name: "queue_update", Required: FieldQueueName | FieldPatch, Class: ClassExclusive, check: checkQueueUpdate},
	{Name: "queue_delete", Required: FieldQueueName, Class: ClassExclusive, check: checkName},
	{Name: "queue_get_stats", Required: FieldQueueName, Class: ClassRead, check: checkName},
	{Name: "queue_purge", Required: FieldQueueName, Optional: FieldResourceTypes, Class: ClassExclusive, check: checkName},
	{Name: "queue_share", Required: FieldQueueName, Optional: shareFields, Class: ClassRead, check: checkShare},

	{Name: "topic_create", Required: FieldTopicName, Optional: FieldMetadata, Class: ClassExclusive, check: checkQueueCreate},
	{Name: "topic_get", Required: FieldTopicName, Class: ClassRead, check: checkName},
	{Name: "topic_list", Optional: listFields, Class: ClassSession, bodyless: true, check: checkQueueList},
	{Name: "topic_update", Required: FieldTopicName | FieldPatch, Class: ClassExclusive, check: checkQueueUpdate},
	{Name: "topic_delete", Required: FieldTopicName, Class: ClassExclusive, check: checkName},
	{Name: "topic_get_stats", Required: FieldTopicName, Class: ClassRead, check: checkName},
	{Name: "topic_purge", Required: FieldTopicName, Optional: FieldResourceTypes, Class: ClassExclusive, check: checkName},
	{Name: "topic_share", Required: FieldTopicName, Optional: shareFields, Class: ClassRead, check: checkShare},

	{Name: "message_post", Required: FieldQueueName | FieldMessages, Optional: FieldTopicName, Class: ClassPost,
		strictClientID: true, check: checkMessagePost},
	{Name: "message_list", Required: FieldQueueName, Class: ClassRead, strictClientID: true, check: checkMessageList,
		Optional: FieldTopicName | FieldMarker | FieldLimit | FieldEcho | FieldIncludeClaimed | FieldIncludeDelayed | FieldWait},
	{Name: "message_get", Required: FieldQueueName | FieldMessageID, Optional: FieldTopicName, Class: ClassRead, check: checkName},
	{Name: "message_get_many", Required: FieldQueueName | FieldMessageIDs, Optional: FieldTopicName, Class: ClassRead,
		check: checkMessageGetMany},
	{Name: "message_delete", Required: FieldQueueName | FieldMessageID, Optional: FieldTopicName | FieldClaimID,
		Class: ClassDelete, check: checkName},
	{Name: "message_delete_many", Required: FieldQueueName, Optional: FieldTopicName | FieldMessageIDs | FieldClaimIDs | FieldPop,
		Class: ClassDelete, check: checkMessageDeleteMany},

	{Name: "claim_create", Required: FieldQueueName, Optional: FieldLimit | FieldTTL | FieldGrace | FieldWait, Class: ClassClaim,
		check: checkClaimCreate},
	{Name: "claim_get", Required: FieldQueueName | FieldClaimID, Class: ClassRead, check: checkName},
	{Name: "claim_update", Required: FieldQueueName | FieldClaimID, Optional: FieldTTL | FieldGrace, Class: ClassExclusive, check: checkClaimUpdate},
	{Name: "claim_delete", Required: FieldQueueName | FieldClaimID, Class: ClassExclusive, check: checkName},

	{Name: "subscription_create", Required: FieldQueueName, Optional: FieldTopicName | FieldSubscriber | FieldTTL | FieldOptions,
		Class: ClassExclusive, check: checkSubscriptionCreate},
	{Name: "subscription_get", Required: subscriptionFields, Optional: FieldTopicName, Class: ClassRead, check: checkName},
	{Name: "subscription_list", Required: FieldQueueName, Optional: FieldTopicName | FieldMarker | FieldLimit, Class: ClassRead,
		check: checkSubscriptionList},
	{Name: "subscription_update", Required: subscriptionFields, Optional: FieldTopicName | FieldSubscriber | FieldTTL | FieldOptions,
		Class: ClassExclusive, check: checkSubscriptionUpdate},
	{Name: "subscription_confirm", Required: subscriptionFields | FieldConfirmed, Optional: FieldTopicName, Class: ClassExclusive,
		check: checkName},
	{Name: "subscription_secret", Required: subscriptionFields, Optional: FieldTopicName | FieldRotate, Class: ClassExclusive,
		check: checkName},
	{Name: "subscription_delete", Required: subscriptionFields, Optional: FieldTopicName, Class: ClassExclusive, check: checkName},

	{Name: "dead_delivery_list", Required: subscriptionFields, Optional: FieldTopicName | FieldMarker | FieldLimit, Class: ClassRead,
		check: checkDeadDeliveryList},
	{Name: "dead_delivery_resend", Required: subscriptionFields, Optional: FieldTopicName | FieldDeliveryIDs, Class: ClassExclusive,
		check: checkDeadDeliveries},
	{Name: "dead_delivery_delete", Required: subscriptionFields, Optional: FieldTopicName | FieldDeliveryIDs, Class: ClassExclusive,
		check: checkDeadDeliveries},

	{Name: "pool_create", Required: FieldPoolName, Optional: poolFields, Class: ClassSession, Admin: true, check: checkPoolCreate},
	{Name: "pool_get", Required: FieldPoolName, Optional: FieldDetailed, Class: ClassSession, Admin: true, check: checkPoolName},
	{Name: "pool_list", Optional: FieldMarker | FieldLimit | FieldDetailed, Class: ClassSession, Admin: true, bodyless: true,
		check: checkPoolList},
	{Name: "pool_update", Required: FieldPoolName, Optional: poolFields, Class: ClassSession, Admin: true, check: checkPoolUpdate},
	{Name: "pool_delete", Required: FieldPoolName, Class: ClassSession, Admin: true, check: checkPoolDelete},

	{Name: "flavor_create", Required: FieldFlavorName, Optional: flavorFields, Class: ClassSession, Admin: true, check: checkFlavorCreate},
	{Name: "flavor_get", Required: FieldFlavorName, Optional: FieldDetailed, Class: ClassSession, Admin: true, check: checkFlavorName},
	{Name: "flavor_list", Optional: FieldMarker | FieldLimit | FieldDetailed, Class: ClassSession, Admin: true, bodyless: true,
		check: checkFlavorList},
	{Name: "flavor_update", Required: FieldFlavorName, Optional: flavorFields, Class: ClassSession, Admin: true, check: checkFlavorUpdate},
	{Name: "flavor_delete", Required: FieldFlavorName, Class: ClassSession, Admin: true, check: checkFlavorName},

	{Name: "get_home_doc", Class: ClassSession, bodyless: true},
	{Name: "ping_node", Class: ClassSession, bodyless: true},
	{Name: "check_node_health", Class: ClassSession, Admin: true, bodyless: true},

	{Name: "authenticate", Class: ClassSession, bodyless: true, plainEcho: true},
}

// The fields that several actions share.
const (
	listFields         = FieldMarker | FieldLimit | FieldDetailed | FieldWithCount | FieldName | FieldFilter
	shareFields        = FieldPaths | FieldMethods | FieldExpires
	subscriptionFields = FieldQueueName | FieldSubscriptionID
	poolFields         = FieldURI | FieldWeight | FieldFlavor | FieldOptions
	flavorFields       = FieldPoolList | FieldCapabilities
)

// actionsByName and the headers that an action requires are derived from the table once.
var actionsByName = indexActions()

func indexActions() map[string]*Action {
	byName := make(map[string]*Action, len(actions))
	for i := range actions {
		a := &actions[i]
		switch a.Name {
		case "authenticate":
			a.headers = headerProjectID | headerAuthToken
		case "get_home_doc", "ping_node", "check_node_health": // about the node, not about a project
		default:
			a.headers = headerClientID | headerProjectID
		}
		a.rest = restForms[a.Name]
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
