package gateway

import (
	"errors"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// HandlerConfig holds the settings of the actions' handlers.
type HandlerConfig struct {
	// OperationTimeout is how long after its frame's arrival a post, claim or delete may wait, for its turn and for the
	// store to take it up; then it is answered 503 and nothing was changed. One that the store has taken up by then is
	// answered half a second later at most. 100 ms or more; default 4 s.
	OperationTimeout time.Duration
	// Checksum adds a checksum of its body to each message in the answers of pop and of queue_get_stats, as Zaqar's
	// enable_checksum does. Default off.
	Checksum bool
}

// DefaultHandlerConfig returns the defaults.
func DefaultHandlerConfig() HandlerConfig {
	return HandlerConfig{OperationTimeout: 4 * time.Second}
}

// Check returns an error that names the setting that is out of range.
func (c HandlerConfig) Check() error {
	if c.OperationTimeout < 100*time.Millisecond {
		return errors.New("handlers: OperationTimeout must be at least 100 ms")
	}
	return nil
}

// handler is how the gateway carries out an action.
type handler struct {
	// run carries out a call and answers it exactly once, at once or later.
	run func(*Gateway, *call)
	// blocking says that run waits for the database, so that it needs a goroutine. The others must not block.
	blocking bool
	// immediate says that run changes what later frames mean and touches no queue: it is called where the frame is
	// read, before the next one is decoded, and waits for no earlier frame.
	immediate bool
	// variant, if it is set, returns another handler for some calls of the action, else nil.
	variant func(*call) *handler
}

// handlers is the table of all actions: a new one is a line here and one in protocol's action table.
var handlers = map[string]*handler{
	"queue_create":    {run: (*Gateway).queueCreate, blocking: true},
	"queue_get":       {run: (*Gateway).queueGet, blocking: true},
	"queue_list":      {run: (*Gateway).queueList, blocking: true},
	"queue_update":    {run: (*Gateway).queueUpdate, blocking: true},
	"queue_delete":    {run: (*Gateway).queueDelete, blocking: true},
	"queue_get_stats": {run: (*Gateway).queueStats, blocking: true},
	"queue_purge":     {run: (*Gateway).queuePurge, blocking: true},
	"queue_share":     {run: (*Gateway).queueShare},

	"topic_create":    {run: (*Gateway).queueCreate, blocking: true},
	"topic_get":       {run: (*Gateway).queueGet, blocking: true},
	"topic_list":      {run: (*Gateway).topicList, blocking: true},
	"topic_update":    {run: (*Gateway).queueUpdate, blocking: true},
	"topic_delete":    {run: (*Gateway).queueDelete, blocking: true},
	"topic_get_stats": {run: (*Gateway).queueStats, blocking: true},
	"topic_purge":     {run: (*Gateway).queuePurge, blocking: true},
	"topic_share":     {run: (*Gateway).queueShare},

	"message_post":        {run: (*Gateway).messagePost, variant: oversizePost},
	"message_list":        {run: (*Gateway).messageList, blocking: true},
	"message_get":         {run: (*Gateway).messageGet, blocking: true},
	"message_get_many":    {run: (*Gateway).messageGetMany, blocking: true},
	"message_delete":      {run: (*Gateway).messageDelete},
	"message_delete_many": {run: (*Gateway).messageDeleteMany, variant: pop},

	"claim_create": {run: (*Gateway).claimCreate},
	"claim_get":    {run: (*Gateway).claimGet, blocking: true},
	"claim_update": {run: (*Gateway).claimUpdate, blocking: true},
	"claim_delete": {run: (*Gateway).claimDelete, blocking: true},

	"subscription_create":  {run: (*Gateway).subscriptionCreate, blocking: true},
	"subscription_get":     {run: (*Gateway).subscriptionGet, blocking: true},
	"subscription_list":    {run: (*Gateway).subscriptionList, blocking: true},
	"subscription_update":  {run: (*Gateway).subscriptionUpdate, blocking: true},
	"subscription_confirm": {run: (*Gateway).subscriptionConfirm, blocking: true},
	"subscription_secret":  {run: (*Gateway).subscriptionSecret, blocking: true},
	"subscription_delete":  {run: (*Gateway).subscriptionDelete, blocking: true},

	"dead_delivery_list":   {run: (*Gateway).deadDeliveryList, blocking: true},
	"dead_delivery_resend": {run: (*Gateway).deadDeliveryResend, blocking: true},
	"dead_delivery_delete": {run: (*Gateway).deadDeliveryDelete, blocking: true},

	"pool_create": {run: (*Gateway).poolCreate, blocking: true},
	"pool_get":    {run: (*Gateway).poolGet, blocking: true},
	"pool_list":   {run: (*Gateway).poolList, blocking: true},
	"pool_update": {run: (*Gateway).poolUpdate, blocking: true},
	"pool_delete": {run: (*Gateway).poolDelete, blocking: true},

	"flavor_create": {run: (*Gateway).flavorCreate, blocking: true},
	"flavor_get":    {run: (*Gateway).flavorGet, blocking: true},
	"flavor_list":   {run: (*Gateway).flavorList, blocking: true},
	"flavor_update": {run: (*Gateway).flavorUpdate, blocking: true},
	"flavor_delete": {run: (*Gateway).flavorDelete, blocking: true},

	"get_home_doc":      {run: (*Gateway).homeDocument},
	"ping_node":         {run: (*Gateway).pingNode},
	"check_node_health": {run: (*Gateway).checkHealth, blocking: true},

	"authenticate": {run: (*Gateway).authenticate, immediate: true},
}

// handlersByAction is the same by protocol's action, which is what a decoded frame holds. It is made in init because
// handlers lead, by way of what they answer, back to the dispatch.
var handlersByAction map[*protocol.Action]*handler

func init() {
	handlersByAction = make(map[*protocol.Action]*handler, len(handlers))
	for name, h := range handlers {
		handlersByAction[protocol.ActionByName(name)] = h
	}
}

// handlerFor returns the handler of an action. A call is run by the handler that forCall returns, which may be
// another one.
func (g *Gateway) handlerFor(a *protocol.Action) *handler { return handlersByAction[a] }

// forCall returns the handler that runs c: h itself, or its variant for calls like c. For those, blocking differs.
func (h *handler) forCall(c *call) *handler {
	if h.variant != nil {
		if v := h.variant(c); v != nil {
			return v
		}
	}
	return h
}
