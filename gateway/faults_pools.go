package gateway

import (
	"encoding/json"
	"errors"

	"github.com/nusku-messaging/nusku/protocol"
)

// poolFaults turn the errors that pools and flavors make into what the client is told, as faults does with the others.
var poolFaults = []fault{
	{protocol.ErrNoPool, func(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorPoolMissing(req.Fields.PoolName)
	}},
	{protocol.ErrPoolExists, func(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return protocol.ErrorPoolExists(shownURI(req, err)).WithCause(err)
	}},
	{protocol.ErrPoolUnfit, func(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return protocol.ErrorPoolUnfit(shownURI(req, err), protocol.DetailOf(err), err)
	}},
	{protocol.ErrPoolUnreachable, func(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return protocol.ErrorPoolUnreachable(shownURI(req, err), protocol.DetailOf(err), err)
	}},
	{protocol.ErrPoolInUse, poolInUse},
	{protocol.ErrNoFlavor, flavorMissing},
	{protocol.ErrFlavorInUse, flavorInUse},
	{protocol.ErrFlavorElsewhere, func(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return protocol.ErrorFlavorElsewhere(req.Queue(), protocol.DetailOf(err))
	}},
	{protocol.ErrNoRoom, noRoom},
}

// shownURI is the URI that an error is about, without its password: the one that was sent, if the error does not know.
func shownURI(req *protocol.Request, err error) string {
	if e, ok := errors.AsType[interface {
		error
		ShownURI() string
	}](err); ok {
		return e.ShownURI()
	}
	return protocol.ShownURI(req.Fields.URI)
}

// flavorInUse: a flavor in use can neither be deleted nor be left without pools, which the error names.
func flavorInUse(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
	if flavor := protocol.DetailOf(err); flavor != "" {
		return protocol.ErrorFlavorLastPool(flavor)
	}
	return protocol.ErrorFlavorInUse(req.Fields.FlavorName)
}

// poolInUse: a pool that is in use can be neither deleted nor led to another database.
func poolInUse(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
	change := "update"
	if req.ActionName == "pool_delete" {
		change = "delete"
	}
	return protocol.ErrorPoolInUse(change, req.Fields.PoolName)
}

// flavorMissing: who asks for a flavor by its name is told 404; who names one that does not exist has made a mistake.
func flavorMissing(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
	if req.Fields.FlavorName != "" {
		return protocol.ErrorFlavorMissing(req.Fields.FlavorName)
	}
	e := *protocol.ErrorFlavorMissing(protocol.DetailOf(err))
	e.Status = 400
	return &e
}

// noRoom: administrators may make room.
func noRoom(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
	e := protocol.ErrorNoRoom(wantedFlavor(req)).WithCause(err)
	if e.Status == 503 {
		e.RetryAfter, e.Outcome = retryUnavailable, protocol.OutcomeNothing
	}
	return e
}

// wantedFlavor is the flavor that a new queue asks for; "" if there is none.
func wantedFlavor(req *protocol.Request) string {
	var metadata struct {
		Flavor string `json:"_flavor"`
	}
	_ = json.Unmarshal(req.Fields.Metadata, &metadata) // without metadata no flavor is asked for
	return metadata.Flavor
}
