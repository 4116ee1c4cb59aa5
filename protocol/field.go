package protocol

import "strconv"

// fieldByName returns the typed field of that name, 0 if there is none.
func fieldByName(name string) FieldSet {
	switch name {
	case "queue_name":
		return FieldQueueName
	case "metadata":
		return FieldMetadata
	case "detailed":
		return FieldDetailed
	case "with_count":
		return FieldWithCount
	case "echo":
		return FieldEcho
	case "include_claimed":
		return FieldIncludeClaimed
	case "include_delayed":
		return FieldIncludeDelayed
	case "limit":
		return FieldLimit
	case "marker":
		return FieldMarker
	case "messages":
		return FieldMessages
	case "message_id":
		return FieldMessageID
	case "message_ids":
		return FieldMessageIDs
	case "pop":
		return FieldPop
	case "claim_id":
		return FieldClaimID
	case "claim_ids":
		return FieldClaimIDs
	case "ttl":
		return FieldTTL
	case "grace":
		return FieldGrace
	case "subscription_id":
		return FieldSubscriptionID
	case "subscriber":
		return FieldSubscriber
	case "options":
		return FieldOptions
	case "resource_types":
		return FieldResourceTypes
	}
	return 0
}

// readField reads the value of a field by its type.
func (d *decoder) readField(f FieldSet) {
	fields := &d.req.Fields
	switch f {
	case FieldMessages:
		d.readMessages()
	case FieldMetadata:
		d.readObject("metadata", &fields.Metadata)
	case FieldOptions:
		d.readObject("options", &fields.Options)
	case FieldMessageIDs:
		d.readStrings(&fields.MessageIDs)
	case FieldClaimIDs:
		d.readStrings(&fields.ClaimIDs)
	case FieldResourceTypes:
		d.readStrings(&fields.ResourceTypes)
	case FieldLimit, FieldPop, FieldTTL, FieldGrace:
		d.readNumber(f)
	case FieldDetailed, FieldWithCount, FieldEcho, FieldIncludeClaimed, FieldIncludeDelayed:
		d.readFlag(f)
	default:
		d.readString(fields.text(f))
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
	}
	return &fields.QueueName
}

func (d *decoder) readFlag(f FieldSet) {
	if d.kind() != kindBool {
		d.schema = true
		d.skip()
		return
	}
	v := d.boolean()
	fields := &d.req.Fields
	switch f {
	case FieldDetailed:
		fields.Detailed = v
	case FieldWithCount:
		fields.WithCount = v
	case FieldEcho:
		fields.Echo = v
	case FieldIncludeClaimed:
		fields.IncludeClaimed = v
	case FieldIncludeDelayed:
		fields.IncludeDelayed = v
	}
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
	switch f {
	case FieldLimit:
		d.req.Fields.Limit = int(v)
	case FieldPop:
		d.req.Fields.Pop = int(v)
	case FieldTTL:
		d.req.ttl = v
		d.req.Fields.TTL = seconds(v)
	case FieldGrace:
		d.req.grace = v
		d.req.Fields.Grace = seconds(v)
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
func (d *decoder) readObject(name string, into *[]byte) {
	k, start := d.begin()
	if k != kindObject {
		d.skip()
		switch {
		case name == "options":
			d.schema = true
		case k != kindNull:
			d.messageFault = errMetadataType
		}
		return
	}
	before := d.trouble
	d.trouble = 0
	d.uniqueKeys()
	if d.failed() {
		return
	}
	object := d.raw(start)
	switch {
	case d.trouble != 0:
		d.messageFault = errInexpressible(object, d.codec, name)
	case d.codec == JSON:
		*into = object
	default:
		d.transcodeObject(object, into)
	}
	d.trouble = before
}

// transcodeObject keeps a MessagePack object as JSON.
func (d *decoder) transcodeObject(object []byte, into *[]byte) {
	from := len(d.scratch)
	out, err := Transcode(d.scratch, object, MessagePack, JSON)
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
