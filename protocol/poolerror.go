package protocol

// Faults of what is asked of pools and flavors that never vary.
var (
	errNothingOfPool   = adminError("One of `uri`, `weight`, `flavor`, or `options` needs to be specified")
	errNothingOfFlavor = adminError("`pool_list` needs to be specified")
	errListenType      = adminError("options.listen is not of type 'string'")
	errDefaultCreate   = defaultPoolError("It cannot be replaced.").told(titleCreate, "")
	errDefaultUpdate   = defaultPoolError("It cannot be changed here; its weight is the setting default-pool-weight.").told(titleUpdate, "")
	errDefaultDelete   = defaultPoolError("It cannot be deleted.").told(titleDelete, "")
	errDefaultFlavor   = adminError("The pool " + DefaultPool + " cannot be of a flavor.")
	errNoPools         = actionError(400, "no_pools", "", "A flavor needs at least one pool.").told(titleCreate, "")
)

// adminError is a fault of a field of a pool or a flavor.
func adminError(exception string, args ...any) *Error {
	return actionError(400, "admin_field", "", exception, args...).told(titleBody, "")
}

// defaultPoolError refuses a change of the default pool.
func defaultPoolError(exception string) *Error {
	return actionError(403, "default_pool", "", "The pool "+DefaultPool+" is the gateway's own database. "+exception)
}

func errAdminNameLength(what string, limit int) *Error {
	return adminError("%s names may not be more than %d characters long.", what, limit)
}

func errAdminName(what string) *Error {
	return adminError("%s names may only contain ASCII letters, digits, underscores, and dashes.", what)
}

// The texts of a JSON schema validator, which Zaqar shows as they are.

func errRequired(field string) *Error { return adminError("'%s' is a required property", field) }

func errUnexpected(field string) *Error {
	return adminError("Additional properties are not allowed (%s was unexpected)", pythonText(bounded(field)))
}

func errNotType(value, want string) *Error { return adminError("%s is not of type '%s'", value, want) }

func errBelow(v, least int64) *Error {
	return adminError("%d is less than the minimum of %d", v, least)
}

func errAbove(v, most int64) *Error {
	return adminError("%d is greater than the maximum of %d", v, most)
}

func errURILength(field string, limit int) *Error {
	return adminError("%s is longer than %d characters", field, limit)
}

// ErrorPoolMissing answers an action on a pool that does not exist.
func ErrorPoolMissing(pool string) *Error {
	return actionError(404, "no_pool", "", "Pool %s does not exist", pool)
}

// ErrorFlavorMissing answers an action on a flavor that does not exist.
func ErrorFlavorMissing(flavor string) *Error {
	return actionError(404, "no_flavor", "", "Flavor %s does not exist", flavor)
}

// ErrorPoolUnreachable answers a pool whose database does not answer, or whose URI cannot be one; shownURI has no password,
// and reason may be "".
func ErrorPoolUnreachable(shownURI, reason string, cause error) *Error {
	if reason != "" {
		reason = ": " + reason
	}
	return adminError("cannot connect to %s%s", shownURI, reason).WithCause(cause)
}

// ErrorPoolUnfit answers a pool whose database answers and cannot be a pool, for reason; shownURI has no password.
func ErrorPoolUnfit(shownURI, reason string, cause error) *Error {
	return adminError("cannot use %s: %s", shownURI, reason).WithCause(cause)
}

// ErrorPoolExists answers a pool whose database is a pool already.
func ErrorPoolExists(shownURI string) *Error {
	return actionError(409, "pool_exists", "", "The database %s is a pool already.", shownURI)
}

// ErrorPoolInUseByFlavor answers the deletion of a pool that a flavor names.
func ErrorPoolInUseByFlavor(flavor string) *Error {
	return actionError(403, "pool_in_use", "", "This pool is used by flavors %s; It cannot be deleted.", flavor).told(titleDelete, "")
}

// ErrorPoolInUse answers a change of a pool that cannot be made while queues are in it: "delete" or "update".
func ErrorPoolInUse(change, pool string) *Error {
	return actionError(403, "pool_in_use", "", "Pool %s is used: queues are in it, or a flavor names it.", pool).
		told("Unable to "+change, "")
}

// ErrorFlavorLastPool answers a change of a pool or of a flavor that would take its last pool from a flavor that queues ask
// for.
func ErrorFlavorLastPool(flavor string) *Error {
	return actionError(403, "flavor_in_use", "", "Flavor %s is used by queues; its last pool cannot be taken away.", flavor).
		told(titleUpdate, "")
}

// ErrorFlavorInUse answers the deletion of a flavor that queues ask for.
func ErrorFlavorInUse(flavor string) *Error {
	return actionError(403, "flavor_in_use", "", "Flavor %s is used by queues; It cannot be deleted.", flavor).told(titleDelete, "")
}

// ErrorFlavorElsewhere answers a change that gives a queue a flavor in whose pools it is not.
func ErrorFlavorElsewhere(q QueueKey, flavor string) *Error {
	return actionError(400, "flavor_elsewhere", "",
		"Queue %s is in none of the pools of flavor %s: a queue stays in the pool in which it was made.", q.ShownName(), flavor)
}

// ErrorFlavorPoolMissing answers a flavor that names a pool that does not exist.
func ErrorFlavorPoolMissing(r *Request, pool string) *Error {
	if r.Action.Name == "flavor_update" {
		return actionError(400, "no_pool", "", "Flavor %s cant be updated, error:Pool %s does not exist", r.Fields.FlavorName, pool).
			told("updatefail", "")
	}
	return actionError(400, "no_pool", "", "Flavor %s could not be created, error:Pool %s does not exist", r.Fields.FlavorName, pool).
		told(titleCreate, "")
}

// ErrorNoRoom answers a new queue that no pool takes; flavor is "" when it asked for none. One that asks for a flavor may
// ask for another; for the others there is nothing but to try later.
func ErrorNoRoom(flavor string) *Error {
	if flavor != "" {
		return actionError(400, "no_room", "", "No pool of flavor %s takes the queue.", flavor)
	}
	return actionError(503, "no_room", "", "No pool takes the queue.")
}
