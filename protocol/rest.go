package protocol

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// DecodeREST makes the request that in asks of a, with the fields, the checks and the ranges that Decode has for frames,
// but in REST's order and with REST's answers. req is reset; its strings and slices point into in, or into memory that
// the request owns. A non-nil error is the answer to give: see Error.REST.
//
// It is for the caller to see to methods, paths and content types, and to bound the body. A body must be UTF-8 JSON
// that does not nest deeper than lim.MaxDepth, holds no integer beyond 64 bits, and does not say a key twice where
// Decode would refuse that.
func DecodeREST(a *Action, in *RESTInput, lim *Limits, req *Request) *Error {
	req.reset(JSON)
	req.Action, req.ActionName, req.rest = a, a.Name, true
	d := decoder{
		scanner: scanner{data: in.Body, codec: JSON, maxDepth: lim.MaxDepth, scratch: req.scratch},
		req:     req, lim: lim, bodyAt: -1,
	}
	err := d.restRequest(in)
	req.scratch = d.scratch
	return err
}

// restRequest reads and checks everything in the order in which REST answers.
func (d *decoder) restRequest(in *RESTInput) *Error {
	r := d.req
	if err := in.CheckHeaders(); err != nil {
		return err
	}
	r.ClientID, r.ProjectID, r.Roles, r.Signature = in.ClientID, in.ProjectID, in.Roles, in.Signature
	parseClientID(r.ClientID, &r.ClientUUID)
	d.restPath(&in.Path)
	if err := d.restIdentity(); err != nil {
		return err
	}
	form := r.Action.rest
	if err := d.restQuery(form, in.Query); err != nil {
		return err
	}
	if err := d.restBody(form); err != nil {
		return err
	}
	switch {
	case d.messageFault != nil:
		return d.messageFault
	case d.rangeFault != nil:
		return d.rangeFault
	case r.Action.check == nil:
		return nil
	}
	return r.Action.check(r, d.lim)
}

// CheckHeaders says what is wrong with the headers that every resource but the versions wants; nil for nothing.
// DecodeREST asks it first; a caller may ask earlier, before it reads a body.
func (in *RESTInput) CheckHeaders() *Error {
	var id uuid.UUID
	switch {
	case !in.HasClientID:
		return errNoClientID
	case !parseClientID(in.ClientID, &id):
		return errClientIDFormat
	case !in.HasProjectID:
		return errNoProjectID
	case in.ProjectID == "":
		return errEmptyProjectID
	}
	return nil
}

// restPath notes the path's values that the action has.
func (d *decoder) restPath(path *PathValues) {
	r := d.req
	if path.TopicName != "" {
		r.Fields.Set |= FieldTopicName
		r.setTopic(path.TopicName, &d.scratch)
	}
	for _, v := range [...]struct {
		bit   FieldSet
		value string
	}{
		{FieldQueueName, path.QueueName},
		{FieldMessageID, path.MessageID},
		{FieldClaimID, path.ClaimID},
		{FieldSubscriptionID, path.SubscriptionID},
		{FieldPoolName, path.PoolName},
		{FieldFlavorName, path.FlavorName},
	} {
		if v.value != "" {
			r.Fields.Set |= v.bit
			*r.Fields.text(v.bit) = v.value
		}
	}
}

// restIdentity checks the names of queue, topic and project. A project whose id is too long has no queues, but it may
// ask for the list.
func (d *decoder) restIdentity() *Error {
	r := d.req
	if r.Fields.Set&(FieldQueueName|FieldTopicName) == 0 {
		return nil
	}
	if err := checkProjectID(r.ProjectID, d.lim); err != nil {
		return err
	}
	return checkName(r, d.lim)
}

// restQuery reads the parameters that the action has. Those without a value are not there.
func (d *decoder) restQuery(form *restForm, query url.Values) *Error {
	fields := &d.req.Fields
	for i := range fieldRows {
		row := &fieldRows[i]
		if row.bit&form.query == 0 {
			continue
		}
		values := query[parameterName(row)]
		if !slices.ContainsFunc(values, func(v string) bool { return v != "" }) {
			continue
		}
		fields.Set |= row.bit
		if err := d.restParameter(row, values); err != nil {
			return err
		}
	}
	if form.query.Has(FieldFilter) {
		fields.MetadataFilter = restFilter(form, query)
	}
	return nil
}

// parameterName is what the query calls a field.
func parameterName(row *fieldRow) string {
	if row.bit == FieldMessageIDs || row.bit == FieldDeliveryIDs {
		return "ids"
	}
	return row.name
}

// restParameter reads a parameter; the last one counts where there may be only one.
func (d *decoder) restParameter(row *fieldRow, values []string) *Error {
	fields := &d.req.Fields
	last := values[len(values)-1]
	switch row.typ {
	case typeTexts:
		into := fields.texts(row.bit)
		for _, value := range values {
			*into = appendList(*into, value)
		}
	case typeDeliveries:
		var ids []string
		for _, value := range values {
			ids = appendList(ids, value)
		}
		d.setDeliveries(ids)
	case typeNumber:
		v, ok := parseParameter(last)
		if !ok {
			return errParameter(row.name, "The value must be an integer.")
		}
		d.req.setNumber(row.bit, v)
	case typeFlag:
		v, known := restFlags[last]
		if !known {
			return errParameter(row.name, `The value of the parameter must be "true" or "false".`)
		}
		*fields.flag(row.bit) = v
	default:
		*fields.text(row.bit) = last
	}
	return nil
}

// appendList appends the parts of a list that is joined by commas, but for empty ones.
func appendList(list []string, value string) []string {
	for part := range strings.SplitSeq(value, ",") {
		if part != "" {
			list = append(list, part)
		}
	}
	return list
}

// parseParameter reads a number; one that 64 bits do not hold is out of every range.
func parseParameter(text string) (v int64, ok bool) {
	v, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return v, err == nil || v == math.MaxInt64 || v == math.MinInt64
}

// restFlags are the spellings of a parameter that is true or false.
var restFlags = map[string]bool{
	"true": true, "True": true, "t": true, "yes": true, "y": true, "1": true, "on": true,
	"false": false, "False": false, "f": false, "no": false, "n": false, "0": false, "off": false,
}

// restFilter takes the parameters that nobody else reads as attributes of metadata; nil if there are none.
func restFilter(form *restForm, query url.Values) map[string]string {
	var filter map[string]string
	for name, values := range query {
		row := fieldByName(name)
		if row != nil && row.bit&form.query != 0 && row.bit != FieldFilter {
			continue
		}
		if value := values[len(values)-1]; value != "" {
			if filter == nil {
				filter = map[string]string{}
			}
			filter[name] = value
		}
	}
	return filter
}
