package gateway

import (
	"encoding/json"

	"github.com/nusku-messaging/nusku/protocol"
)

// poolFaults turn the errors that pools and flavors make into what the client is told, as faults does with the others.
var poolFaults = []fault{
	{protocol.ErrNoPool, func(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorPoolMissing(req.Fields.PoolName)
	}},
	{protocol.ErrPoolExists, func(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return protocol.ErrorPoolExists(protocol.ShownURI(req.Fields.URI)).WithCause(err)
	}},
	{protocol.ErrPoolUnreachable, func(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return protocol.ErrorPoolUnreachable(protocol.ShownURI(req.Fields.URI), protocol.DetailOf(err), err)
	}},
	{protocol.ErrPoolInUse, poolInUse},
	{protocol.ErrNoFlavor, flavorMissing},
	{protocol.ErrFlavorInUse, func(req *protocol.Request, _ *protocol.Limits, _ error) *protocol.Error {
		return protocol.ErrorFlavorInUse(req.Fields.FlavorName)
	}},
	{protocol.ErrFlavorElsewhere, func(req *protocol.Request, _ *protocol.Limits, err error) *protocol.Error {
		return protocol.ErrorFlavorElsewhere(req.Queue(), protocol.DetailOf(err))
	}},
	{protocol.ErrNoRoom, noRoom},
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
	e.RetryAfter, e.Outcome = retryUnavailable, protocol.OutcomeNothing
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
