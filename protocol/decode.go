package protocol

import (
	"math"
	"strings"

	"github.com/google/uuid"
)

// Defaults are what a session said once instead of in every frame: on the upgrade request or by authenticate. They are
// used where a frame's headers lack the key. "" is no default.
type Defaults struct {
	ClientID  string
	ProjectID string
	// Roles are as in Request.
	Roles string
}

// headerSet is a set of headers.
type headerSet uint8

const (
	headerClientID headerSet = 1 << iota
	headerProjectID
	headerAuthToken
	headerRoles
	headerOther // a header that must be a string and is kept elsewhere or not at all
)

// decoder reads one frame. It lives on the stack of Decode.
type decoder struct {
	scanner
	req *Request
	lim *Limits
	// headers are the headers that the frame or the session's defaults supply.
	headers headerSet
	// schema says that a field is missing or of a wrong type. wrong is the first field of the body of which it says so,
	// and wrongValue what was sent; nil when nothing was.
	schema     bool
	wrong      *fieldRow
	wrongValue []byte
	// wanted are the fields of the body that are read, unknown is the first that is not.
	wanted  FieldSet
	unknown string
	// claimOfTopic says that an action on a claim names a topic.
	claimOfTopic bool
	// bodyAt is where the body's value starts, -1 without one; bodyRead says that its fields were read.
	bodyAt   int
	bodyRead bool
	// action is what the frame names, for the answer when there is no such action.
	action string
	// fault is the first thing wrong with a message or with a value that the other codec cannot express; rangeFault the
	// first number of a message out of its range. The wire answers the former first.
	messageFault, rangeFault *Error
}

// Decode reads one frame into req, which is reset. def fills in the headers that the frame lacks. A non-nil error is
// the answer to give; req.ID says whether it is compact, and the raw ranges are filled as far as the frame could be
// read. Errors of KindProtocol come before the question who sent the frame, errors of KindAction after it.
//
// Everything is checked here that needs no storage, but for the size of a post (Request.PostTooLarge). Beyond being
// JSON or MessagePack, a frame must be UTF-8, must not nest deeper than lim.MaxDepth, and must not say a key twice in
// the envelope, the headers, the body, a message, or at the top of metadata and options.
//
// req keeps pointing into frame until its next use.
func Decode(frame []byte, codec Codec, def Defaults, lim *Limits, req *Request) *Error {
	req.reset(codec)
	d := decoder{
		scanner: scanner{data: frame, codec: codec, maxDepth: lim.MaxDepth, scratch: req.scratch},
		req:     req, lim: lim, bodyAt: -1,
	}
	d.defaults(def)
	object := d.kind() == kindObject
	if object {
		d.envelope()
	} else {
		d.skip()
	}
	if d.finish() && object {
		d.deferredBody()
	}
	req.scratch = d.scratch
	switch {
	case d.failed():
		return d.undecodable()
	case !object:
		return errNotAnObject
	}
	return d.verdict()
}

func (d *decoder) defaults(def Defaults) {
	if def.ClientID != "" {
		d.req.ClientID = def.ClientID
		d.headers |= headerClientID
	}
	if def.ProjectID != "" {
		d.req.ProjectID = def.ProjectID
		d.headers |= headerProjectID
	}
	d.req.Roles = def.Roles
}

// undecodable makes the answer to a frame that is not valid. Nothing of it is echoed: other readers might not agree
// with us about what it says.
func (d *decoder) undecodable() *Error {
	r := d.req
	r.Action, r.ActionName = nil, ""
	r.RawAction, r.RawBody, r.RawHeaders = nil, nil, nil
	if d.codec == MessagePack {
		return errUndecodable(MessagePack, d.fault)
	}
	return errUndecodable(JSON, d.describeJSONFault())
}

// envelope reads the frame's object. A body that comes before its action is passed now and read afterwards.
func (d *decoder) envelope() {
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
		switch key {
		case "action":
			d.readAction()
		case "body":
			d.readBody()
		case "headers":
			d.readHeaders()
		case "id":
			d.readID()
		default:
			d.skip()
		}
	}
}

// raw returns the value that starts at start and ends at the position.
func (d *decoder) raw(start int) []byte { return d.data[start:d.pos:d.pos] }

// begin moves to the next value and returns its type and where it starts.
func (d *decoder) begin() (kind, int) {
	k := d.kind()
	return k, d.pos
}

func (d *decoder) readAction() {
	k, start := d.begin()
	switch k {
	case kindString:
		d.action = d.str()
		d.req.ActionName = d.action
		d.req.Action = ActionByName(d.action)
	default:
		d.skip()
		d.action = d.notAnAction(k, start)
	}
	if !d.failed() {
		d.req.RawAction = d.raw(start)
	}
}

// notAnAction is how the answer calls an action that is not a string.
func (d *decoder) notAnAction(k kind, start int) string {
	switch {
	case k == kindNull:
		return "None"
	case k == kindNumber && d.codec == JSON && !d.failed():
		return string(d.raw(start))
	}
	return "This"
}

func (d *decoder) readID() {
	k, start := d.begin()
	d.skip()
	if d.failed() {
		return
	}
	id := d.raw(start)
	if k != kindString && k != kindNumber || len(id) > d.lim.MaxIDBytes {
		d.schema = true
		return
	}
	d.req.ID = id
}

func (d *decoder) readHeaders() {
	k, start := d.begin()
	if k != kindObject {
		d.schema = true
		d.skip()
	} else {
		d.headerFields()
	}
	if !d.failed() && k != kindNull { // null is echoed as no headers
		d.req.RawHeaders = d.raw(start)
	}
}

func (d *decoder) headerFields() {
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
		switch key {
		case "Client-ID":
			d.readHeader(headerClientID, &d.req.ClientID)
		case "X-Project-ID":
			d.readHeader(headerProjectID, &d.req.ProjectID)
		case "X-Auth-Token":
			d.readHeader(headerAuthToken, &d.req.AuthToken)
		case "X-Roles", "X-ROLES":
			d.schema = d.schema || d.headers&headerRoles != 0 // both: which one counts?
			d.readHeader(headerRoles, &d.req.Roles)
		case "User-Agent", "Date", "Accept":
			var unused string
			d.readHeader(headerOther, &unused)
		default:
			d.readSignature(key)
		}
	}
}

// readSignature reads the headers of a signed URL and passes those that nobody knows.
func (d *decoder) readSignature(key string) {
	switch key {
	case "URL-Signature":
		d.readHeader(headerOther, &d.req.Signature.Signature)
	case "URL-Expires":
		d.readHeader(headerOther, &d.req.Signature.Expires)
	case "URL-Methods":
		d.readHeaderList(&d.req.Signature.Methods)
	case "URL-Paths":
		d.readHeaderList(&d.req.Signature.Paths)
	default:
		d.skip()
	}
}

// readHeaderList reads a list of a signed URL: an array, which is what Zaqar's socket takes, or a text with commas, as
// HTTP has it. It is kept as the latter.
func (d *decoder) readHeaderList(into *string) {
	if d.kind() != kindArray {
		d.readHeader(headerOther, into)
		return
	}
	var list []string
	d.readStrings(&list)
	*into = strings.Join(list, ",")
}

func (d *decoder) readHeader(h headerSet, into *string) {
	d.readString(into)
	d.headers |= h
}

// readString reads a field that must be a string that exists: text with half a character is none.
func (d *decoder) readString(into *string) {
	if d.kind() != kindString {
		d.schema = true
		d.skip()
		return
	}
	before := d.trouble
	d.trouble = 0
	*into = d.str()
	if d.trouble != 0 {
		d.schema = true
	}
	d.trouble = before
}

// readBody notes the body's range and reads its fields if the action is known by now.
func (d *decoder) readBody() {
	var k kind
	k, d.bodyAt = d.begin()
	switch {
	case k != kindObject:
		d.schema = true
		d.bodyRead = true
		d.skip()
	case d.req.Action != nil:
		d.bodyRead = true
		d.wanted = d.req.Action.fields()
		d.bodyFields()
	default:
		d.skip()
	}
	if !d.failed() {
		d.req.RawBody = d.raw(d.bodyAt)
	}
}

// deferredBody reads the fields of a body that came before its action.
func (d *decoder) deferredBody() {
	if d.bodyAt < 0 || d.bodyRead || d.req.Action == nil {
		return
	}
	d.pos, d.depth = d.bodyAt, 1
	d.wanted = d.req.Action.fields()
	d.bodyFields()
}

// bodyFields reads the fields that the action has and passes all others.
func (d *decoder) bodyFields() {
	var seen keySet
	wanted := d.wanted
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
		row := fieldByName(key)
		if row == nil || row.bit&wanted == 0 {
			d.unknownField(key)
			continue
		}
		if d.kind() == kindNull && d.req.rest && d.req.Action.Name == "subscription_update" {
			d.skip() // python-openstackclient sends null for what is to stay as it is
			continue
		}
		d.req.Fields.Set |= row.bit
		at := d.pos
		d.readField(row)
		if d.schema && d.wrong == nil {
			d.wrong, d.wrongValue = row, d.data[at:d.pos]
		}
	}
}

// unknownField passes the value of a field that the action does not read.
func (d *decoder) unknownField(key string) {
	if d.unknown == "" {
		d.unknown = key
	}
	if key == "topic_name" && strings.HasPrefix(d.req.Action.Name, "claim_") {
		d.claimOfTopic = true
	}
	d.skip()
}

// verdict judges a frame that is well formed, in the order in which the wire answers.
func (d *decoder) verdict() *Error {
	r := d.req
	if r.Action == nil {
		if r.RawAction == nil {
			d.action = "None"
		}
		return errUnknownAction(d.action)
	}
	if d.schema || d.headers&r.Action.headers != r.Action.headers || !r.Fields.named().Has(r.Action.Required) ||
		d.bodyAt < 0 && !r.Action.bodyless {
		if d.claimOfTopic {
			return errTopicClaim
		}
		return errSchema
	}
	if r.Fields.Set.Has(FieldQueueName | FieldTopicName) {
		return errQueueAndTopic
	}
	if d.messageFault != nil {
		return d.messageFault
	}
	return d.judgeIdentity()
}

// judgeIdentity checks who sends and what is asked for.
func (d *decoder) judgeIdentity() *Error {
	r := d.req
	if !parseClientID(r.ClientID, &r.ClientUUID) && r.Action.strictClientID {
		return errClientID
	}
	if err := checkProjectID(r.ProjectID, d.lim); err != nil {
		return err
	}
	if d.rangeFault != nil {
		return d.rangeFault
	}
	if r.Action.check == nil {
		return nil
	}
	return r.Action.check(r, d.lim)
}

// parseClientID reads a UUID with or without dashes; other spellings are not ok.
func parseClientID(s string, id *uuid.UUID) bool {
	if len(s) != 36 && len(s) != 32 {
		return false
	}
	parsed, err := uuid.Parse(s)
	if err != nil {
		return false
	}
	*id = parsed
	return true
}

// seconds narrows a number of seconds; what is out of range stays out of every range.
func seconds(v int64) int32 {
	return int32(max(math.MinInt32, min(v, math.MaxInt32))) //nolint:gosec // bounded in this line
}
