package protocol

import (
	"math/bits"
	"strconv"
)

// fieldType is how a field is read.
type fieldType uint8

const (
	typeText fieldType = iota
	typeTopic
	typeTexts
	typeNumber
	typeFlag
	typeObject
	typePatch
	typeFilter
	typeDeliveries
	typeMessages
)

// fieldRow is a typed field of the bodies.
type fieldRow struct {
	name string
	bit  FieldSet
	typ  fieldType
}

// fieldRows are all typed fields, in the order of their bits.
var fieldRows = [...]fieldRow{
	{"queue_name", FieldQueueName, typeText},
	{"metadata", FieldMetadata, typeObject},
	{"detailed", FieldDetailed, typeFlag},
	{"with_count", FieldWithCount, typeFlag},
	{"echo", FieldEcho, typeFlag},
	{"include_claimed", FieldIncludeClaimed, typeFlag},
	{"include_delayed", FieldIncludeDelayed, typeFlag},
	{"limit", FieldLimit, typeNumber},
	{"marker", FieldMarker, typeText},
	{"messages", FieldMessages, typeMessages},
	{"message_id", FieldMessageID, typeText},
	{"message_ids", FieldMessageIDs, typeTexts},
	{"pop", FieldPop, typeNumber},
	{"claim_id", FieldClaimID, typeText},
	{"claim_ids", FieldClaimIDs, typeTexts},
	{"ttl", FieldTTL, typeNumber},
	{"grace", FieldGrace, typeNumber},
	{"subscription_id", FieldSubscriptionID, typeText},
	{"subscriber", FieldSubscriber, typeText},
	{"options", FieldOptions, typeObject},
	{"resource_types", FieldResourceTypes, typeTexts},
	{"topic_name", FieldTopicName, typeTopic},
	{"name", FieldName, typeText},
	{"filter", FieldFilter, typeFilter},
	{"patch", FieldPatch, typePatch},
	{"wait", FieldWait, typeNumber},
	{"paths", FieldPaths, typeTexts},
	{"methods", FieldMethods, typeTexts},
	{"expires", FieldExpires, typeText},
	{"confirmed", FieldConfirmed, typeFlag},
	{"rotate", FieldRotate, typeFlag},
	{"delivery_ids", FieldDeliveryIDs, typeDeliveries},
	{"pool_name", FieldPoolName, typeText},
	{"uri", FieldURI, typeText},
	{"weight", FieldWeight, typeNumber},
	{"flavor", FieldFlavor, typeText},
	{"flavor_name", FieldFlavorName, typeText},
	{"pool_list", FieldPoolList, typeTexts},
	{"capabilities", FieldCapabilities, typeObject},
}

// fieldSlots finds the rows by a hash that is cheaper than a map's: this is done for every key of every body. A slot
// holds the number of a row, counted from 1; a row whose slot is taken is in the next free one.
var fieldSlots = hashFields()

func hashFields() (slots [256]uint8) {
	for i := range fieldRows {
		at := fieldHash(fieldRows[i].name)
		for slots[at] != 0 {
			at++
		}
		slots[at] = uint8(i + 1) //nolint:gosec // there are fewer than 64 fields
	}
	return slots
}

// fieldHash spreads the fields' names; the empty name is none.
func fieldHash(name string) uint8 {
	n := len(name)
	return name[0]*7 ^ name[n/2]*31 ^ name[n-1]*91 ^ uint8(n)*13 //nolint:gosec // the low bits are what is wanted
}

// fieldByName returns the typed field of that name, nil if there is none.
func fieldByName(name string) *fieldRow {
	if name == "" {
		return nil
	}
	for at := fieldHash(name); fieldSlots[at] != 0; at++ {
		if row := &fieldRows[fieldSlots[at]-1]; row.name == name {
			return row
		}
	}
	return nil
}

// row returns the row of a single field.
func (s FieldSet) row() *fieldRow { return &fieldRows[bits.TrailingZeros64(uint64(s))] }

// readField reads the value of a field by its type.
func (d *decoder) readField(row *fieldRow) {
	fields := &d.req.Fields
	switch row.typ {
	case typeText:
		d.readString(fields.text(row.bit))
	case typeTexts:
		d.readStrings(fields.texts(row.bit))
	case typeNumber:
		d.readNumber(row.bit)
	case typeFlag:
		d.readFlag(fields.flag(row.bit))
	case typeObject:
		d.readObject(row, fields.object(row.bit))
	case typeMessages:
		d.readMessages()
	case typeTopic:
		d.readTopic()
	case typePatch:
		d.readPatch()
	case typeFilter:
		d.readFilter()
	case typeDeliveries:
		d.readDeliveries()
	}
}

// text returns where the field is kept, which must be a string.
func (fields *Fields) text(f FieldSet) *string {
	switch f {
	case FieldMarker:
		return &fields.Marker
	case FieldMessageID:
		return &fields.MessageID
	case FieldClaimID:
		return &fields.ClaimID
	case FieldSubscriptionID:
		return &fields.SubscriptionID
	case FieldSubscriber:
		return &fields.Subscriber
	case FieldName:
		return &fields.Name
	case FieldExpires:
		return &fields.Expires
	case FieldPoolName:
		return &fields.PoolName
	case FieldURI:
		return &fields.URI
	case FieldFlavor:
		return &fields.Flavor
	case FieldFlavorName:
		return &fields.FlavorName
	}
	return &fields.QueueName
}

// texts returns where the field is kept, which must be a list of strings.
func (fields *Fields) texts(f FieldSet) *[]string {
	switch f {
	case FieldClaimIDs:
		return &fields.ClaimIDs
	case FieldResourceTypes:
		return &fields.ResourceTypes
	case FieldPaths:
		return &fields.Paths
	case FieldMethods:
		return &fields.Methods
	case FieldPoolList:
		return &fields.PoolList
	}
	return &fields.MessageIDs
}

// flag returns where the field is kept, which must be a boolean.
func (fields *Fields) flag(f FieldSet) *bool {
	switch f {
	case FieldDetailed:
		return &fields.Detailed
	case FieldWithCount:
		return &fields.WithCount
	case FieldEcho:
		return &fields.Echo
	case FieldIncludeClaimed:
		return &fields.IncludeClaimed
	case FieldIncludeDelayed:
		return &fields.IncludeDelayed
	case FieldConfirmed:
		return &fields.Confirmed
	}
	return &fields.Rotate
}

// object returns where the field is kept, which must be an object.
func (fields *Fields) object(f FieldSet) *[]byte {
	switch f {
	case FieldOptions:
		return &fields.Options
	case FieldCapabilities:
		return &fields.Capabilities
	}
	return &fields.Metadata
}

// readTopic keeps a topic's name behind the prefix that it is stored with.
func (d *decoder) readTopic() {
	var name string
	d.readString(&name)
	d.req.setTopic(name, &d.scratch)
}

// setTopic notes the name of a topic; scratch takes it with its prefix.
func (r *Request) setTopic(name string, scratch *[]byte) {
	from := len(*scratch)
	*scratch = append(append(*scratch, TopicPrefix...), name...)
	r.topicKey = view((*scratch)[from:])
	r.Fields.TopicName = r.topicKey[len(TopicPrefix):]
}

func (d *decoder) readFlag(into *bool) {
	if d.kind() != kindBool {
		d.schema = true
		d.skip()
		return
	}
	*into = d.boolean()
}

func (d *decoder) readNumber(f FieldSet) {
	v, ok := d.readInteger()
	if !ok {
		// A renewal's grace is not in Zaqar's schema but in its handler, which answers in other words.
		if f == FieldGrace && d.req.Action.Name == "claim_update" {
			d.messageFault = errFieldType("grace", "int")
		} else {
			d.schema = true
		}
		return
	}
	d.req.setNumber(f, v)
}

// setNumber notes a number as it was sent; the action's check judges its range.
func (r *Request) setNumber(f FieldSet, v int64) {
	switch f {
	case FieldLimit:
		r.Fields.Limit = int(v)
	case FieldPop:
		r.Fields.Pop = int(v)
	case FieldTTL:
		r.ttl = v
		r.Fields.TTL = seconds(v)
	case FieldGrace:
		r.grace = v
		r.Fields.Grace = seconds(v)
	case FieldWait:
		r.Fields.Wait = seconds(v)
	case FieldWeight:
		r.Fields.Weight = v
	}
}

// readInteger reads a value that should be an integer and passes any other.
func (d *decoder) readInteger() (v int64, ok bool) {
	if d.kind() != kindNumber {
		d.skip()
		return 0, false
	}
	return d.integer()
}

// readStrings reads an array of strings.
func (d *decoder) readStrings(into *[]string) {
	if d.kind() != kindArray {
		d.schema = true
		d.skip()
		return
	}
	it := d.enter()
	for d.next(&it) {
		var s string
		d.readString(&s)
		*into = append(*into, s)
	}
}

// readObject reads an object that is kept as JSON. Null is nothing; metadata that is something else has an answer of
// its own.
func (d *decoder) readObject(row *fieldRow, into *[]byte) {
	k, start := d.begin()
	if k != kindObject {
		d.skip()
		switch {
		case k == kindNull && d.req.rest: // python-zaqarclient sends it for none
			d.req.Fields.Set &^= row.bit
		case row.bit != FieldMetadata:
			d.schema = true
		case k != kindNull:
			d.messageFault = errMetadataType
		}
		return
	}
	before := d.trouble
	d.trouble = 0
	d.uniqueKeys()
	d.keepJSON(start, row.name, into)
	d.trouble |= before
}

// readPatch reads an array that is kept as JSON. What is in it is for ApplyPatch to judge.
func (d *decoder) readPatch() {
	k, start := d.begin()
	before := d.trouble
	d.trouble = 0
	d.skip()
	if k == kindArray {
		d.keepJSON(start, "patch", &d.req.Fields.Patch)
	} else {
		d.messageFault = errPatchType
	}
	d.trouble |= before
}

// keepJSON keeps the value that starts at start and has just been passed as JSON, if JSON can express it.
func (d *decoder) keepJSON(start int, name string, into *[]byte) {
	if d.failed() {
		return
	}
	value := d.raw(start)
	switch {
	case d.trouble != 0:
		d.messageFault = errInexpressible(value, d.codec, name)
	case d.codec == JSON:
		*into = value
	default:
		d.transcodeValue(value, into)
	}
	d.trouble = 0
}

// transcodeValue keeps a MessagePack value as JSON.
func (d *decoder) transcodeValue(value []byte, into *[]byte) {
	from := len(d.scratch)
	out, err := Transcode(d.scratch, value, MessagePack, JSON)
	if err != nil { // trouble was ruled out, so this would be a fault of ours
		d.messageFault = ErrorInternal(err)
		return
	}
	d.scratch = out
	*into = out[from:len(out):len(out)]
}

// uniqueKeys passes an object that must not say a key twice.
func (d *decoder) uniqueKeys() {
	var seen keySet
	it := d.enter()
	for {
		key, ok := d.nextKey(&it)
		if !ok {
			return
		}
		if !seen.add(key) {
			d.failDuplicate(key)
			return
		}
		d.skip()
	}
}

// readFilter reads an object whose values are texts, numbers or booleans. Each is kept as JSON would print it, without
// quotes.
func (d *decoder) readFilter() {
	if d.kind() != kindObject {
		d.schema = true
		d.skip()
		return
	}
	filter := map[string]string{}
	var seen keySet
	it := d.enter()
	for {
		key, ok := d.nextKey(&it)
		if !ok {
			break
		}
		if !seen.add(key) {
			d.failDuplicate(key)
			return
		}
		filter[key] = d.readFilterValue()
	}
	d.req.Fields.MetadataFilter = filter
}

func (d *decoder) readFilterValue() (value string) {
	k, start := d.begin()
	switch k {
	case kindString:
		d.readString(&value)
		return value
	case kindNumber, kindBool:
		d.skip()
	default:
		d.schema = true
		d.skip()
	}
	if d.failed() || d.schema {
		return ""
	}
	return string(appendFilterScalar(nil, d.codec, k, d.raw(start)))
}

// appendFilterScalar writes a number or a boolean as JSON does.
func appendFilterScalar(out []byte, codec Codec, k kind, value []byte) []byte {
	if codec == JSON {
		return append(out, value...)
	}
	return appendJSONScalar(out, k, value)
}

// readDeliveries reads a list of ids of dead deliveries.
func (d *decoder) readDeliveries() {
	var texts []string
	d.readStrings(&texts)
	d.setDeliveries(texts)
}

// setDeliveries notes the ids of dead deliveries, which are numbers written as strings.
func (d *decoder) setDeliveries(texts []string) {
	ids := make([]int64, len(texts))
	for i, text := range texts {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			d.failMessage(errDeliveryID(text))
		}
		ids[i] = id
	}
	d.req.Fields.DeliveryIDs = ids
}

// readMessages reads the messages of a post.
func (d *decoder) readMessages() {
	k, start := d.begin()
	if k != kindArray {
		d.schema = true
		d.skip()
		return
	}
	it := d.enter()
	for d.next(&it) {
		if d.kind() != kindObject {
			d.skip()
			d.failMessage(errNotMessage)
			continue
		}
		d.readMessage()
	}
	d.req.messagesSize = d.pos - start
}

// failMessage notes what is wrong with a message unless another fault came first.
func (d *decoder) failMessage(fault *Error) {
	if d.messageFault == nil {
		d.messageFault = fault
	}
}

// readMessage reads one message. Fields that nobody knows are ignored.
func (d *decoder) readMessage() {
	m := NewMessage{Codec: d.codec, TTL: -1, Delay: -1}
	var seen keySet
	it := d.enter()
	for {
		key, ok := d.nextKey(&it)
		if !ok {
			break
		}
		if !seen.add(key) {
			d.failDuplicate(key)
			return
		}
		switch key {
		case "body":
			m.Body = d.readMessageBody()
		case "ttl":
			m.TTL = d.readTTL()
		case "delay":
			m.Delay = d.readDelay()
		default:
			d.skip()
		}
	}
	if m.Body == nil {
		d.failMessage(errNoBody)
	}
	d.req.Fields.Messages = append(d.req.Fields.Messages, m)
}

// readMessageBody returns the body's bytes, which the other codec must be able to express.
func (d *decoder) readMessageBody() []byte {
	_, start := d.begin()
	before := d.trouble
	d.trouble = 0
	ok := d.skip()
	trouble := d.trouble
	d.trouble = before
	if !ok {
		return nil
	}
	body := d.raw(start)
	if trouble != 0 {
		path := "messages[" + strconv.Itoa(len(d.req.Fields.Messages)) + "].body"
		d.failMessage(errInexpressible(body, d.codec, path))
	}
	return body
}

func (d *decoder) readTTL() int32 {
	v, ok := d.readInteger()
	least, most := d.lim.MinMessageTTL, d.lim.MaxMessageTTL
	switch {
	case !ok:
		d.failMessage(errFieldType("ttl", "int"))
	case (v < int64(least) || v > int64(most)) && d.rangeFault == nil:
		d.rangeFault = errTTL("TTL for a message", most, least)
	}
	return seconds(v)
}

func (d *decoder) readDelay() int32 {
	v, ok := d.readInteger()
	switch {
	case !ok:
		d.failMessage(errFieldType("delay", "int"))
	case (v < 0 || v > int64(d.lim.MaxMessageDelay)) && d.rangeFault == nil:
		d.rangeFault = errDelay(d.lim.MaxMessageDelay)
	}
	return seconds(v)
}
