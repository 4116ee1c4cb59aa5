package deliver

import "github.com/nusku-messaging/nusku/protocol"

// resendBatch is how many dead deliveries a run sends again before the stream goes on.
const resendBatch = 16

// unconfirmed says that nothing may be delivered.
func (r *run) unconfirmed() bool { return r.e.opt.RequireConfirmation && !r.d.Subscription.Confirmed }

// resend sends dead deliveries again that somebody has asked for: once each, before the stream goes on in its order.
func (r *run) resend() verdict {
	if !r.d.Resends {
		return r.parkUnconfirmed()
	}
	list, v := r.pendingResends()
	if v != goOn {
		return v
	}
	for i := range list {
		if i > 0 && r.lasted() {
			return more
		}
		if v := r.resendOne(&list[i]); v != goOn {
			return v
		}
	}
	r.d.Resends = len(list) == resendBatch
	if r.d.Resends {
		r.e.mu.Lock()
		r.again = true
		r.e.mu.Unlock()
		return goOn
	}
	return r.parkUnconfirmed()
}

func (r *run) pendingResends() ([]protocol.DeadDelivery, verdict) {
	ctx, cancel := r.query()
	defer cancel()
	list, err := r.e.backend.PendingResends(ctx, r.lease, resendBatch)
	if err != nil {
		return nil, r.failed(err, "read dead deliveries")
	}
	return list, goOn
}

// resendOne sends one dead delivery and notes how that went.
func (r *run) resendOne(dead *protocol.DeadDelivery) verdict {
	reason := "the subscriber has not confirmed"
	if !r.unconfirmed() {
		m := &protocol.Message{ID: dead.MessageID, Body: dead.Body, Codec: dead.Codec, TTL: dead.TTL}
		v, err := r.attempt(Notice{ID: m.ID.String(), Message: m})
		if v != goOn {
			return v
		}
		reason = ""
		if err != nil {
			reason = failureOf(err).Reason
		}
	}
	ctx, cancel := r.query()
	defer cancel()
	if err := r.e.backend.FinishResend(ctx, r.lease, dead.ID, reason == "", reason); err != nil {
		return r.failed(err, "note a delivery that was sent again")
	}
	if reason == "" {
		r.e.counts.resent.Add(1)
	}
	return goOn
}
