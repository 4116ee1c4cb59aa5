package deliver

import "time"

// confirm asks the subscriber for confirmation, if that is to be done.
func (r *run) confirm() verdict {
	if !r.unconfirmed() || !r.d.Confirm {
		return goOn
	}
	if time.Now().Before(r.notBefore) {
		return pause
	}
	n, err := r.e.opt.Confirmer.Confirmation(r.d)
	if err != nil {
		return r.failed(err, "make a request for confirmation")
	}
	if n.ID == "" {
		n.ID = confirmationID(r.d)
	}
	for {
		v, err := r.attempt(n)
		if v != goOn {
			return v
		}
		if err == nil {
			return r.confirmationSent()
		}
		f := failureOf(err)
		switch v := r.retry(f); {
		case v == goOn: // who subscribes again has it sent again
			r.e.opt.Log.Warn().Err(f).Stringer("subscription", r.lease.ID).Str("project", r.key.Project).
				Str("queue", r.key.Name).Str("endpoint", r.slot.ep.name).Msg("request for confirmation not delivered; given up")
			return r.confirmationSent()
		case v != more || r.lasted():
			return v
		}
	}
}

// confirmationSent notes that there is nothing more to ask.
func (r *run) confirmationSent() verdict {
	ctx, cancel := r.query()
	defer cancel()
	if err := r.e.backend.ConfirmationSent(ctx, r.lease); err != nil {
		return r.failed(err, "note a request for confirmation")
	}
	r.d.Confirm = false
	r.d.Attempts, r.notBefore = 0, time.Time{}
	return goOn
}

// parkUnconfirmed gives the lease of a subscription back that has to be confirmed before there is anything more to do.
func (r *run) parkUnconfirmed() verdict {
	if !r.unconfirmed() {
		return goOn
	}
	if v := r.save(0, goOn); v != goOn {
		return v
	}
	r.e.release(r.lease)
	return over
}
