package protocol

import (
	"strings"
	"unicode/utf8"
)

// The checks of the action table: what goes beyond types and needs no storage, in the order in which the wire answers.
// They also fill in the action's defaults.

func checkQueueName(r *Request, lim *Limits) *Error {
	name := r.Fields.QueueName
	if len(name) > lim.MaxQueueNameLength && utf8.RuneCountInString(name) > lim.MaxQueueNameLength {
		return errQueueNameLength(lim.MaxQueueNameLength)
	}
	if !ValidQueueName(name) {
		return errQueueName
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
	if err := checkQueueName(r, lim); err != nil {
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
	return checkMarker(r)
}

func checkMessagePost(r *Request, lim *Limits) *Error {
	if err := checkQueueName(r, lim); err != nil {
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
	if err := checkQueueName(r, lim); err != nil {
		return err
	}
	if !inRange(&r.Fields, FieldLimit, &r.Fields.Limit, lim.DefaultPage, lim.MaxMessagesPerPage) {
		return errLimit(lim.MaxMessagesPerPage)
	}
	return nil
}

func checkMessageGetMany(r *Request, lim *Limits) *Error {
	if err := checkQueueName(r, lim); err != nil {
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
	return checkQueueName(r, lim)
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
	return checkQueueName(r, lim)
}

func checkClaimUpdate(r *Request, lim *Limits) *Error {
	if err := checkClaimTTL(r, lim); err != nil {
		return err
	}
	if err := checkClaimGrace(r, lim); err != nil {
		return err
	}
	return checkQueueName(r, lim)
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
	f := &r.Fields
	if f.Subscriber != "" {
		if err := checkSubscriber(f.Subscriber, lim); err != nil {
			return err
		}
	}
	switch {
	case !f.Set.Has(FieldTTL):
		f.TTL = lim.DefaultSubscriptionTTL
	case f.TTL < lim.MinSubscriptionTTL:
		return errSubscriptionTTL(lim.MinSubscriptionTTL)
	case r.ttl > int64(lim.MaxSubscriptionTTL):
		return errSubscriptionTTLMax(lim.MaxSubscriptionTTL)
	}
	if f.Options != nil {
		if err := checkOptions(f.Options); err != nil {
			return err
		}
	}
	return checkQueueName(r, lim)
}

// checkSubscriber looks at the scheme only: whether there is anybody at that address shows when it is called.
func checkSubscriber(subscriber string, lim *Limits) *Error {
	scheme, _, ok := strings.Cut(subscriber, ":")
	if ok {
		for _, s := range lim.SubscriberSchemes {
			if strings.EqualFold(s, scheme) {
				if strings.IndexByte(subscriber, 0) >= 0 {
					return errFieldNUL("subscriber")
				}
				return nil
			}
		}
	}
	return errSubscriberScheme(lim.SubscriberSchemes)
}

func checkSubscriptionList(r *Request, lim *Limits) *Error {
	if err := checkQueueName(r, lim); err != nil {
		return err
	}
	if !inRange(&r.Fields, FieldLimit, &r.Fields.Limit, lim.DefaultPage, lim.MaxSubscriptionsPerPage) {
		return errLimit(lim.MaxSubscriptionsPerPage)
	}
	return checkMarker(r)
}
