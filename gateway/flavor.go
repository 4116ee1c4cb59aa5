package gateway

import (
	"errors"
	"slices"

	"github.com/nusku-messaging/nusku/protocol"
)

// storeCapabilities are what every pool can do, as the numbers of Zaqar's enumeration: first in first out, claims,
// durability, at least once delivery, high throughput. All pools are PostgreSQL databases, so no flavor differs.
var storeCapabilities = []string{"1", "2", "3", "4", "5"}

// flavorCreate handles flavor_create. One that exists is replaced: 201 all the same, as on Zaqar. The capabilities that
// a client sends are not kept: what the pools can do is not the client's to say.
func (g *Gateway) flavorCreate(c *call) {
	f := &c.req.Fields
	err := g.backend.CreateFlavor(c.context(), protocol.Flavor{Name: f.FlavorName, Pools: sortedNames(f.PoolList)})
	if err != nil {
		c.fail(g.flavorRefused(c, err))
		return
	}
	c.answer(201, adminCreated("Flavor "+f.FlavorName))
}

// sortedNames are names in order, each once.
func sortedNames(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

// flavorUpdate handles flavor_update.
func (g *Gateway) flavorUpdate(c *call) {
	f := &c.req.Fields
	flavor, err := g.backend.UpdateFlavor(c.context(), f.FlavorName, protocol.FlavorChange{Pools: sortedNames(f.PoolList)})
	if err != nil {
		c.fail(g.flavorRefused(c, err))
		return
	}
	c.answer(200, (*flavorFound)(flavor))
}

// flavorRefused says why a flavor was not made or changed: if that is because of a pool that does not exist, which one.
func (g *Gateway) flavorRefused(c *call, err error) *protocol.Error {
	if !errors.Is(err, protocol.ErrNoPool) {
		return g.wireError(c, err)
	}
	return protocol.ErrorFlavorPoolMissing(&c.req, protocol.DetailOf(err)).WithCause(err)
}

// flavorGet handles flavor_get.
func (g *Gateway) flavorGet(c *call) {
	flavor, err := g.backend.Flavor(c.context(), c.req.Fields.FlavorName)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, (*flavorFound)(flavor))
}

// flavorFound is one flavor.
type flavorFound protocol.Flavor

func (a *flavorFound) frame(w *protocol.Writer, _ *call) {
	w.BeginMap(3)
	a.write(w)
	w.EndMap()
}

func (a *flavorFound) resource(x *exchange) {
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(4)
		a.write(w)
		w.Key("href")
		w.String(x.href("flavors", a.Name))
		w.EndMap()
	})
}

func (a *flavorFound) write(w *protocol.Writer) {
	w.Key("name")
	w.String(a.Name)
	writeStrings(w, "capabilities", storeCapabilities)
	writeStrings(w, "pool_list", a.Pools)
}

// writeStrings writes a key with a list of strings.
func writeStrings(w *protocol.Writer, key string, list []string) {
	w.Key(key)
	w.BeginArray(len(list))
	for _, s := range list {
		w.String(s)
	}
	w.EndArray()
}

// flavorList handles flavor_list.
func (g *Gateway) flavorList(c *call) {
	flavors, err := g.backend.Flavors(c.context(), c.req.Fields.Marker, c.req.Fields.Limit)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, &flavorsFound{flavors, c.req.Fields.Detailed})
}

// flavorsFound is a page of flavors.
type flavorsFound struct {
	flavors  []protocol.Flavor
	detailed bool
}

func (a *flavorsFound) frame(w *protocol.Writer, _ *call) {
	w.BeginMap(1)
	a.write(w, nil)
	w.EndMap()
}

func (a *flavorsFound) resource(x *exchange) {
	marker := ""
	if n := len(a.flavors); n > 0 {
		marker = a.flavors[n-1].Name
	}
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(2)
		x.links(w, marker)
		a.write(w, func(name string) string { return x.href("flavors", name) })
		w.EndMap()
	})
}

// write writes the flavors, with their addresses if href is there.
func (a *flavorsFound) write(w *protocol.Writer, href func(name string) string) {
	w.Key("flavors")
	w.BeginArray(len(a.flavors))
	for i := range a.flavors {
		f := &a.flavors[i]
		w.BeginMap(2 + countIf(href != nil) + countIf(a.detailed))
		w.Key("name")
		w.String(f.Name)
		if href != nil {
			w.Key("href")
			w.String(href(f.Name))
		}
		writeStrings(w, "pool_list", f.Pools)
		if a.detailed {
			writeStrings(w, "capabilities", storeCapabilities)
		}
		w.EndMap()
	}
	w.EndArray()
}

// flavorDelete handles flavor_delete.
func (g *Gateway) flavorDelete(c *call) {
	name := c.req.Fields.FlavorName
	err := g.backend.DeleteFlavor(c.context(), name)
	if err != nil && !errors.Is(err, protocol.ErrNoFlavor) {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(204, textDone("Flavor "+name+" removed."))
}
