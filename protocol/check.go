package protocol

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The checks of the action table: what goes beyond types and needs no storage, in the order in which the wire answers.
// They also fill in the action's defaults.

// checkName checks the name of the queue or of the topic.
func checkName(r *Request, lim *Limits) *Error {
	if r.Fields.Set&FieldTopicName != 0 {
		return checkTopicName(r.Fields.TopicName, lim)
	}
	name := r.Fields.QueueName
	if len(name) > lim.MaxQueueNameLength && utf8.RuneCountInString(name) > lim.MaxQueueNameLength {
		return errQueueNameLength(lim.MaxQueueNameLength)
	}
	if !ValidQueueName(name) {
		return errQueueName
	}
	return nil
}

func checkTopicName(name string, lim *Limits) *Error {
	if len(name) > lim.MaxQueueNameLength && utf8.RuneCountInString(name) > lim.MaxQueueNameLength {
		return errTopicNameLength(lim.MaxQueueNameLength)
	}
	if !ValidQueueName(name) {
		return errTopicName
	}
	return nil
}

// ValidQueueName says whether name has only the characters that a queue's name may have, and at least one. How long a
// name may be is a limit.
func ValidQueueName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return name != ""
}

// checkProjectID refuses NUL, for which the database has no room in texts.
func checkProjectID(id string, lim *Limits) *Error {
	if len(id) > lim.MaxProjectIDLength && utf8.RuneCountInString(id) > lim.MaxProjectIDLength {
		return errProjectIDLength(lim.MaxProjectIDLength)
	}
	if strings.IndexByte(id, 0) >= 0 {
		return errFieldNUL("X-Project-ID")
	}
	return nil
}

func checkMarker(r *Request) *Error {
	if strings.IndexByte(r.Fields.Marker, 0) >= 0 {
		return errFieldNUL("marker")
	}
	return nil
}

// inRange fills in a number's default and says whether a number that was sent is in 1 to most.
func inRange(f *Fields, field FieldSet, v *int, def, most int) bool {
	if !f.Set.Has(field) {
		*v = def
		return true
	}
	return 1 <= *v && *v <= most
}

func checkQueueCreate(r *Request, lim *Limits) *Error {
	if err := checkName(r, lim); err != nil {
		return err
	}
	if r.Fields.Metadata == nil {
		return nil
	}
	_, err := CheckMetadata(r.Fields.Metadata, lim)
	return err
}

func checkQueueList(r *Request, lim *Limits) *Error {
	if !inRange(&r.Fields, FieldLimit, &r.Fields.Limit, lim.DefaultPage, lim.MaxQueuesPerPage) {
		return errQueueLimit(lim.MaxQueuesPerPage)
	}
	if err := checkFilter(&r.Fields, lim); err != nil {
		return err
	}
	return checkMarker(r)
}

// checkFilter bounds a filter by what metadata can hold: a larger one finds nothing.
func checkFilter(f *Fields, lim *Limits) *Error {
	if strings.IndexByte(f.Name, 0) >= 0 {
		return errFieldNUL("name")
	}
	size := 0
	for key, value := range f.MetadataFilter {
		if strings.IndexByte(key, 0) >= 0 || strings.IndexByte(value, 0) >= 0 {
			return errFieldNUL("filter")
		}
		size += len(key) + len(value)
	}
	if size > lim.MaxMetadataBytes {
		return errFilterSize(lim.MaxMetadataBytes)
	}
	return nil
}

// checkQueueUpdate judges a patch as far as that needs no metadata.
func checkQueueUpdate(r *Request, lim *Limits) *Error {
	if err := checkName(r, lim); err != nil {
		return err
	}
	return CheckPatch(r.Fields.Patch, lim)
}

// sharedPaths are the parts of a queue that a signed URL may be good for.
var sharedPaths = []string{"messages", "subscriptions", "claims"}

// checkShare leaves the time to the handler, which knows what time it is.
func checkShare(r *Request, lim *Limits) *Error {
	if err := checkName(r, lim); err != nil {
		return err
	}
	var foreign []string
	for _, path := range r.Fields.Paths {
		if !slices.Contains(sharedPaths, path) && len(foreign) < len(sharedPaths) {
			foreign = append(foreign, pythonText(bounded(path)))
		}
	}
	if foreign != nil {
		return ErrorShare("Invalid paths: {" + strings.Join(foreign, ", ") + "}")
	}
	return nil
}

func checkMessagePost(r *Request, lim *Limits) *Error {
	if err := checkName(r, lim); err != nil {
		return err
	}
	if len(r.Fields.Messages) == 0 {
		return errNoMessages
	}
	if n := len(r.Fields.Messages); n > lim.MaxMessagesPerPost {
		return errTooManyMessages(n, lim.MaxMessagesPerPost)
	}
	return nil
}

func checkMessageList(r *Request, lim *Limits) *Error {
	if err := checkName(r, lim); err != nil {
		return err
	}
	if !inRange(&r.Fields, FieldLimit, &r.Fields.Limit, lim.DefaultPage, lim.MaxMessagesPerPage) {
		return errLimit(lim.MaxMessagesPerPage)
	}
	return checkWait(r, lim)
}

// checkWait refuses what would block all replies of a session: those to frames without an id keep their order.
func checkWait(r *Request, lim *Limits) *Error {
	wait := r.Fields.Wait
	switch {
	case wait < 0 || wait > lim.MaxWait:
		return errWait(lim.MaxWait)
	case wait > 0 && r.ID == nil && !r.rest:
		return errWaitWithoutID
	}
	return nil
}

func checkMessageGetMany(r *Request, lim *Limits) *Error {
	if err := checkName(r, lim); err != nil {
		return err
	}
	if n := len(r.Fields.MessageIDs); n < 1 || n > lim.MaxMessagesPerPage {
		return errLimit(lim.MaxMessagesPerPage)
	}
	return nil
}

func checkMessageDeleteMany(r *Request, lim *Limits) *Error {
	f := &r.Fields
	pop, ids, claims := f.Set.Has(FieldPop), f.Set.Has(FieldMessageIDs), f.Set.Has(FieldClaimIDs)
	switch {
	case pop && ids:
		return errPopAndIDs
	case !pop && !ids:
		return errNoPopNoIDs
	case lim.MessageDeleteWithClaimID && (len(f.MessageIDs) > 0 && !claims || !ids && len(f.ClaimIDs) > 0):
		return errNoClaimIDs
	case pop && (f.Pop < 1 || f.Pop > lim.MaxMessagesPerClaim):
		return errPop(lim.MaxMessagesPerClaim)
	case ids && (len(f.MessageIDs) < 1 || len(f.MessageIDs) > lim.MaxMessagesPerPage):
		return errIDCount(lim.MaxMessagesPerPage)
	}
	return checkName(r, lim)
}

func checkClaimCreate(r *Request, lim *Limits) *Error {
	if err := checkClaimTTL(r, lim); err != nil {
		return err
	}
	if !inRange(&r.Fields, FieldLimit, &r.Fields.Limit, lim.DefaultMessagesPerClaim, lim.MaxMessagesPerClaim) {
		return errLimit(lim.MaxMessagesPerClaim)
	}
	if err := checkClaimGrace(r, lim); err != nil {
		return err
	}
	if err := checkWait(r, lim); err != nil {
		return err
	}
	return checkName(r, lim)
}

func checkClaimUpdate(r *Request, lim *Limits) *Error {
	if err := checkClaimTTL(r, lim); err != nil {
		return err
	}
	if err := checkClaimGrace(r, lim); err != nil {
		return err
	}
	return checkName(r, lim)
}

func checkClaimTTL(r *Request, lim *Limits) *Error {
	if !r.Fields.Set.Has(FieldTTL) {
		r.Fields.TTL = lim.DefaultClaimTTL
	} else if r.Fields.TTL < lim.MinClaimTTL || r.ttl > int64(lim.MaxClaimTTL) {
		return errTTL("TTL for a claim", lim.MaxClaimTTL, lim.MinClaimTTL)
	}
	return nil
}

func checkClaimGrace(r *Request, lim *Limits) *Error {
	if !r.Fields.Set.Has(FieldGrace) {
		r.Fields.Grace = lim.DefaultClaimGrace
	} else if r.Fields.Grace < lim.MinClaimGrace || r.grace > int64(lim.MaxClaimGrace) {
		return errTTL("grace for a claim", lim.MaxClaimGrace, lim.MinClaimGrace)
	}
	return nil
}

func checkSubscriptionCreate(r *Request, lim *Limits) *Error {
	if err := checkSubscription(r, lim); err != nil {
		return err
	}
	if !r.Fields.Set.Has(FieldTTL) {
		r.Fields.TTL = lim.DefaultSubscriptionTTL
	}
	return checkName(r, lim)
}

func checkSubscriptionUpdate(r *Request, lim *Limits) *Error {
	f := &r.Fields
	if f.Set&(FieldSubscriber|FieldTTL|FieldOptions) == 0 {
		return errNothingToUpdate
	}
	if f.Set.Has(FieldSubscriber) && f.Subscriber == "" {
		return errSubscriberScheme(lim.SubscriberSchemes)
	}
	if err := checkSubscription(r, lim); err != nil {
		return err
	}
	return checkName(r, lim)
}

// checkSubscription checks the fields of a subscription that were sent.
func checkSubscription(r *Request, lim *Limits) *Error {
	f := &r.Fields
	if f.Subscriber != "" {
		if err := checkSubscriber(r, lim); err != nil {
			return err
		}
	}
	switch {
	case !f.Set.Has(FieldTTL):
	case f.TTL < lim.MinSubscriptionTTL:
		return errSubscriptionTTL(lim.MinSubscriptionTTL)
	case r.ttl > int64(lim.MaxSubscriptionTTL):
		return errSubscriptionTTLMax(lim.MaxSubscriptionTTL)
	}
	if f.Options == nil {
		return nil
	}
	if len(f.Options) > lim.MaxOptionsBytes {
		return errOptionsSize("subscription", lim.MaxOptionsBytes)
	}
	return checkOptions(f.Options, f.Subscriber == "" && r.Action.Name == "subscription_create")
}

// maxSubscriberKey is what the database's index takes of project, queue and subscriber together. Bytes.
const maxSubscriberKey = 2600

// checkSubscriber looks at scheme and size only: whether there is anybody at that address shows when it is called.
func checkSubscriber(r *Request, lim *Limits) *Error {
	subscriber := r.Fields.Subscriber
	scheme, _, _ := strings.Cut(subscriber, ":")
	known := func(s string) bool { return strings.EqualFold(s, scheme) }
	q := r.Queue()
	most := min(lim.MaxSubscriberBytes, maxSubscriberKey-len(q.Project)-len(q.Name))
	switch {
	case scheme == subscriber || !slices.ContainsFunc(lim.SubscriberSchemes, known):
		return errSubscriberScheme(lim.SubscriberSchemes)
	case len(subscriber) > most:
		return errSubscriberSize(most)
	case strings.IndexByte(subscriber, 0) >= 0:
		return errFieldNUL("subscriber")
	}
	return nil
}

func checkSubscriptionList(r *Request, lim *Limits) *Error {
	if err := checkName(r, lim); err != nil {
		return err
	}
	if !inRange(&r.Fields, FieldLimit, &r.Fields.Limit, lim.DefaultPage, lim.MaxSubscriptionsPerPage) {
		return errLimit(lim.MaxSubscriptionsPerPage)
	}
	return checkMarker(r)
}

func checkDeadDeliveryList(r *Request, lim *Limits) *Error {
	if err := checkSubscriptionList(r, lim); err != nil || r.Fields.Marker == "" {
		return err
	}
	marker, err := strconv.ParseInt(r.Fields.Marker, 10, 64)
	if err != nil {
		return errDeliveryID(r.Fields.Marker)
	}
	r.Fields.DeliveryMarker = marker
	return nil
}

func checkDeadDeliveries(r *Request, lim *Limits) *Error {
	if n := len(r.Fields.DeliveryIDs); r.Fields.Set.Has(FieldDeliveryIDs) && (n < 1 || n > lim.MaxSubscriptionsPerPage) {
		return errDeliveryIDCount(lim.MaxSubscriptionsPerPage)
	}
	return checkName(r, lim)
}
