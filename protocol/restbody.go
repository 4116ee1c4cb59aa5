package protocol

import "strings"

// restBody reads the body as the form says.
func (d *decoder) restBody(form *restForm) *Error {
	if form.body == bodyIsNone {
		return nil
	}
	if err := d.restSize(form); err != nil {
		return err
	}
	if len(d.data) > 0 || !form.optional {
		if err := d.restDocument(form); err != nil {
			return err
		}
	}
	if form.body == bodyIsFields {
		return d.judge(form)
	}
	return nil
}

// restSize checks what is bounded before it is parsed.
func (d *decoder) restSize(form *restForm) *Error {
	size := len(d.data)
	switch {
	case form.body == bodyIsFields || size <= d.lim.MaxMetadataBytes && size > 0:
		return nil
	case size > d.lim.MaxMetadataBytes && form.body == bodyIsPatch:
		return errMetadataSize(d.lim.MaxMetadataBytes).told(titleBody, "")
	case size > d.lim.MaxMetadataBytes:
		return errMetadataSize(d.lim.MaxMetadataBytes)
	case form.body == bodyIsPatch:
		return errPatchEmpty
	}
	return nil
}

func (d *decoder) judge(form *restForm) *Error {
	judge := form.judge
	if judge == nil {
		judge = judgeTypes
	}
	return judge(d.req, &restFaults{empty: len(d.data) == 0, wrong: d.wrong, value: d.wrongValue, unknown: d.unknown})
}

// restDocument reads the body's value and answers what is not a document of that kind.
func (d *decoder) restDocument(form *restForm) *Error {
	k := d.kind()
	fields := &d.req.Fields
	switch {
	case form.body == bodyIsPatch:
		fields.Set |= FieldPatch
		d.readPatch()
	case k != kindObject:
		d.skip()
	case form.body == bodyIsMetadata:
		fields.Set |= FieldMetadata
		d.readObject(FieldMetadata.row(), &fields.Metadata)
	default:
		d.wanted = form.fields
		d.bodyFields()
	}
	d.finish()
	d.req.messagesSize = len(d.data) // REST counts the whole body
	switch {
	case d.failed():
		return d.restUnreadable(form)
	case k != kindObject && k != kindArray:
		return form.unreadable()
	case d.bigInteger:
		return errBodyInteger
	case k == kindArray && form.body != bodyIsPatch:
		return form.arrayFault()
	}
	return nil
}

func (f *restForm) unreadable() *Error {
	if f.broken != nil {
		return f.broken
	}
	return errBodyJSON
}

func (f *restForm) arrayFault() *Error {
	if f.list != nil {
		return f.list
	}
	return errBodyType
}

// restUnreadable answers a body that is not JSON, and says more of one that other readers might take for JSON.
func (d *decoder) restUnreadable(form *restForm) *Error {
	err := form.unreadable()
	for _, ours := range []string{"Duplicate key", "Nested too deeply", faultUTF8} {
		if strings.HasPrefix(d.fault, ours) {
			return bodyError(err.Code, err.Exception+" "+d.describeJSONFault())
		}
	}
	return err
}

// pythonValue writes a JSON value, shortened, as the texts of Zaqar quote it.
func pythonValue(value []byte) string {
	s := scanner{data: value, codec: JSON, maxDepth: maxTranscodeDepth}
	switch s.kind() {
	case kindString:
		return pythonText(bounded(s.jsonString()))
	case kindNull:
		return "None"
	case kindBool:
		if s.boolean() {
			return "True"
		}
		return "False"
	}
	return strings.ToValidUTF8(bounded(strings.TrimSpace(string(value))), "\ufffd")
}
