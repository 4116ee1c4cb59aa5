package protocol

// restForm says where REST looks for the fields of an action that are not in the path, and how it judges them.
type restForm struct {
	// query are the parameters that are read.
	query FieldSet
	// body is what the body is; fields are those of an object.
	body   bodyForm
	fields FieldSet
	// optional says that the body may be left out.
	optional bool
	// list answers a body that is an array instead of an object; nil is errBodyType.
	list *Error
	// broken answers a body that is not JSON; nil is errBodyJSON.
	broken *Error
	// judge says what is wrong with the fields of a body as far as types go; nil is judgeTypes.
	judge func(r *Request, faults *restFaults) *Error
}

// bodyForm is what the body of a resource is.
type bodyForm uint8

const (
	bodyIsNone     bodyForm = iota // nobody looks at it
	bodyIsFields                   // an object of fields
	bodyIsMetadata                 // a queue's metadata
	bodyIsPatch                    // a JSON patch
)

// restFaults is what the decoder found in an object of fields.
type restFaults struct {
	// empty says that there was no body.
	empty bool
	// wrong is the first field of a wrong type, nil for none; value is what was sent.
	wrong *fieldRow
	value []byte
	// unknown is the first key that the action does not read; "" for none.
	unknown string
}

const pageFields = FieldMarker | FieldLimit

// restForms are the forms of the actions that REST has more to tell of than the path.
var restForms = map[string]*restForm{
	"queue_create":    {body: bodyIsMetadata, optional: true},
	"queue_list":      {query: listFields},
	"queue_update":    {body: bodyIsPatch},
	"queue_purge":     purgeForm,
	"queue_share":     shareForm,
	"topic_create":    {body: bodyIsMetadata, optional: true},
	"topic_list":      {query: listFields},
	"topic_update":    {body: bodyIsPatch},
	"topic_purge":     purgeForm,
	"topic_share":     shareForm,
	"queue_get":       {},
	"queue_delete":    {},
	"queue_get_stats": {},
	"topic_get":       {},
	"topic_delete":    {},
	"topic_get_stats": {},

	"message_post":        {body: bodyIsFields, fields: FieldMessages, list: errNoMessageKey, judge: judgeMessages},
	"message_list":        {query: pageFields | FieldEcho | FieldIncludeClaimed | FieldIncludeDelayed | FieldWait},
	"message_get":         {},
	"message_get_many":    {query: FieldMessageIDs},
	"message_delete":      {query: FieldClaimID},
	"message_delete_many": {query: FieldMessageIDs | FieldClaimIDs | FieldPop},

	"claim_create": {query: FieldLimit | FieldWait, body: bodyIsFields, fields: FieldTTL | FieldGrace, optional: true},
	"claim_get":    {},
	"claim_update": {body: bodyIsFields, fields: FieldTTL | FieldGrace},
	"claim_delete": {},

	"subscription_create": {body: bodyIsFields, fields: FieldSubscriber | FieldTTL | FieldOptions, optional: true,
		judge: judgeNewSubscription},
	"subscription_get":     {},
	"subscription_list":    {query: pageFields},
	"subscription_update":  {body: bodyIsFields, fields: FieldSubscriber | FieldTTL | FieldOptions, optional: true, judge: judgeSubscription},
	"subscription_confirm": {body: bodyIsFields, fields: FieldConfirmed, optional: true, judge: judgeConfirmation},
	"subscription_secret":  {query: FieldRotate, body: bodyIsFields, fields: FieldRotate, optional: true},
	"subscription_delete":  {},

	"dead_delivery_list":   {query: pageFields},
	"dead_delivery_resend": {body: bodyIsFields, fields: FieldDeliveryIDs, optional: true},
	"dead_delivery_delete": {query: FieldDeliveryIDs, body: bodyIsFields, fields: FieldDeliveryIDs, optional: true},

	"pool_create":   {body: bodyIsFields, fields: poolFields, broken: errAdminJSON, judge: judgePool},
	"pool_get":      {query: FieldDetailed},
	"pool_list":     {query: pageFields | FieldDetailed},
	"pool_update":   {body: bodyIsFields, fields: poolFields, broken: errAdminJSON, judge: judgeAdmin},
	"pool_delete":   {},
	"flavor_create": {body: bodyIsFields, fields: flavorFields, broken: errAdminJSON, judge: judgeFlavor},
	"flavor_get":    {query: FieldDetailed},
	"flavor_list":   {query: pageFields | FieldDetailed},
	"flavor_update": {body: bodyIsFields, fields: flavorFields, broken: errAdminJSON, judge: judgeAdmin},
	"flavor_delete": {},

	"get_home_doc":      {},
	"ping_node":         {},
	"check_node_health": {},
}

// The forms that queues and topics share.
var (
	purgeForm = &restForm{body: bodyIsFields, fields: FieldResourceTypes, optional: true, list: errNoPurgeTypes, judge: judgePurge}
	shareForm = &restForm{body: bodyIsFields, fields: shareFields, judge: judgeShare}
)

// judgeTypes answers a field of a wrong type.
func judgeTypes(_ *Request, faults *restFaults) *Error {
	if faults.wrong != nil {
		return errFieldType(faults.wrong.name, faults.wrong.typ.want())
	}
	return nil
}

// want is what the answers of REST call the type.
func (t fieldType) want() string {
	switch t {
	case typeNumber:
		return "int"
	case typeFlag:
		return "bool"
	case typeObject, typeFilter:
		return "dict"
	case typeTexts, typeDeliveries, typeMessages, typePatch:
		return "list"
	}
	return "str"
}

func judgeMessages(r *Request, faults *restFaults) *Error {
	switch {
	case faults.wrong != nil:
		return errBodyType
	case !r.Fields.Set.Has(FieldMessages):
		return errNoMessageKey
	}
	return nil
}

func judgeNewSubscription(r *Request, faults *restFaults) *Error {
	if !r.Fields.Set.Has(FieldSubscriber) {
		return errNoSubscriber
	}
	return judgeSubscription(r, faults)
}

// judgeSubscription refuses an empty subscriber: there is no socket to push to.
func judgeSubscription(r *Request, faults *restFaults) *Error {
	if r.Fields.Set.Has(FieldSubscriber) && r.Fields.Subscriber == "" {
		return errNoSubscriber
	}
	if faults.wrong == nil {
		return nil
	}
	switch faults.wrong.bit {
	case FieldOptions:
		return errOptionsType
	case FieldTTL:
		return errTTLType
	}
	return judgeTypes(r, faults)
}

func judgeConfirmation(r *Request, faults *restFaults) *Error {
	if faults.wrong != nil || !r.Fields.Set.Has(FieldConfirmed) {
		return errNotConfirmed
	}
	return nil
}

// judgePurge is stricter than the socket, which ignores types that nobody knows.
func judgePurge(r *Request, faults *restFaults) *Error {
	switch {
	case faults.empty:
		return nil
	case faults.wrong != nil:
		return errPurgeTypes
	case !r.Fields.Set.Has(FieldResourceTypes):
		return errNoPurgeTypes
	}
	for _, t := range r.Fields.ResourceTypes {
		if t != "messages" && t != "subscriptions" {
			return errPurgeTypes
		}
	}
	return nil
}

func judgeShare(_ *Request, faults *restFaults) *Error {
	if faults.unknown != "" {
		return ErrorShare("Unknown keys: {" + pythonText(bounded(faults.unknown)) + "}")
	}
	if faults.wrong == nil {
		return nil
	}
	switch faults.wrong.bit {
	case FieldPaths:
		return ErrorShare("`paths` must be a non-empty list")
	case FieldMethods:
		return ErrorShare("`methods` should be a list")
	}
	return ErrorShare("`expires` should be date format, for example 2016-01-01T00:00:00, not " + pythonValue(faults.value))
}

// judgeAdmin answers a field of a pool or a flavor that is of a wrong type.
func judgeAdmin(_ *Request, faults *restFaults) *Error {
	switch {
	case faults.wrong == nil:
		return nil
	case faults.wrong.typ == typeTexts:
		if element := notText(faults.value); element != nil {
			return errNotType(pythonValue(element), schemaType(typeText))
		}
	}
	return errNotType(pythonValue(faults.value), schemaType(faults.wrong.typ))
}

// notText returns the first element of a JSON array that is no string; nil if there is none, or if it is no array.
func notText(value []byte) []byte {
	s := scanner{data: value, codec: JSON, maxDepth: maxTranscodeDepth}
	if s.kind() != kindArray {
		return nil
	}
	it := s.enter()
	for s.next(&it) {
		k := s.kind()
		at := s.pos
		s.skip()
		if k != kindString {
			return value[at:s.pos]
		}
	}
	return nil
}

// schemaType is what a JSON schema calls the type.
func schemaType(t fieldType) string {
	switch t {
	case typeNumber:
		return "integer"
	case typeObject:
		return "object"
	case typeTexts:
		return "array"
	}
	return "string"
}

// judgePool refuses keys that nobody knows, as judgeFlavor does: a new pool or flavor is described whole.
func judgePool(r *Request, faults *restFaults) *Error {
	if err := judgeAdmin(r, faults); err != nil {
		return err
	}
	for _, row := range []*fieldRow{FieldURI.row(), FieldWeight.row()} {
		if !r.Fields.Set.Has(row.bit) {
			return errRequired(row.name)
		}
	}
	return judgeUnknown(faults)
}

func judgeFlavor(r *Request, faults *restFaults) *Error {
	if err := judgeAdmin(r, faults); err != nil {
		return err
	}
	if !r.Fields.Set.Has(FieldPoolList) {
		return errRequired("pool_list")
	}
	return judgeUnknown(faults)
}

func judgeUnknown(faults *restFaults) *Error {
	if faults.unknown != "" {
		return errUnexpected(faults.unknown)
	}
	return nil
}
