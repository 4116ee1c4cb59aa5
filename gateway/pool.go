package gateway

import (
	"errors"

	"github.com/nusku-messaging/nusku/protocol"
)

// poolCreate handles pool_create. One that exists is replaced: 201 all the same, as on Zaqar.
func (g *Gateway) poolCreate(c *call) {
	f := &c.req.Fields
	pool := protocol.Pool{
		Name: f.PoolName, URI: f.URI, ListenURI: protocol.ListenOption(f.Options), Weight: f.Weight, Flavor: f.Flavor, Options: f.Options,
	}
	if pool.Options == nil {
		pool.Options = emptyObject
	}
	if err := g.backend.CreatePool(c.context(), pool); err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(201, adminCreated("Pool "+f.PoolName))
}

// adminCreated is a pool or flavor that was made.
type adminCreated string

func (a adminCreated) frame(w *protocol.Writer, _ *call) { w.String(string(a) + " created.") }

func (adminCreated) resource(x *exchange) {
	x.header("Location", x.path())
	x.empty(201)
}

// poolGet handles pool_get.
func (g *Gateway) poolGet(c *call) {
	pool, err := g.backend.Pool(c.context(), c.req.Fields.PoolName)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, &poolFound{pool: pool, detailed: c.req.Fields.Detailed})
}

// poolUpdate handles pool_update.
func (g *Gateway) poolUpdate(c *call) {
	f := &c.req.Fields
	change := protocol.PoolChange{Options: f.Options}
	if f.Options != nil {
		listen := protocol.ListenOption(f.Options)
		change.ListenURI = &listen
	}
	if f.Set.Has(protocol.FieldURI) {
		change.URI = &f.URI
	}
	if f.Set.Has(protocol.FieldWeight) {
		change.Weight = &f.Weight
	}
	if f.Set.Has(protocol.FieldFlavor) {
		change.Flavor = &f.Flavor
	}
	pool, err := g.backend.UpdatePool(c.context(), f.PoolName, change)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, &poolFound{pool: pool, flavorSet: f.Set.Has(protocol.FieldFlavor)})
}

// poolFound is one pool.
type poolFound struct {
	pool *protocol.Pool
	// detailed adds the options.
	detailed bool
	// flavorSet says that the client has just set the flavor: one that it took away is told as "", and else as null.
	flavorSet bool
}

func (a *poolFound) frame(w *protocol.Writer, _ *call) { a.write(w, "") }

func (a *poolFound) resource(x *exchange) {
	x.json(200, func(w *protocol.Writer) { a.write(w, x.href("pools", a.pool.Name)) })
}

// write writes the pool without its password, and its address if it has one.
func (a *poolFound) write(w *protocol.Writer, href string) {
	w.BeginMap(4 + countIf(a.detailed) + countIf(href != ""))
	w.Key("name")
	w.String(a.pool.Name)
	w.Key("uri")
	w.String(protocol.ShownURI(a.pool.URI))
	w.Key("weight")
	w.Int(a.pool.Weight)
	w.Key("flavor")
	if a.pool.Flavor == "" && !a.flavorSet {
		w.Null()
	} else {
		w.String(a.pool.Flavor)
	}
	if a.detailed {
		w.Key("options")
		w.RawJSON(protocol.ShownOptions(a.pool.Options))
	}
	if href != "" {
		w.Key("href")
		w.String(href)
	}
	w.EndMap()
}

// poolList handles pool_list.
func (g *Gateway) poolList(c *call) {
	pools, err := g.backend.Pools(c.context(), c.req.Fields.Marker, c.req.Fields.Limit)
	if err != nil {
		c.fail(g.wireError(c, err))
		return
	}
	c.answer(200, &poolsFound{pools, c.req.Fields.Detailed})
}

// poolsFound is a page of pools.
type poolsFound struct {
	pools    []protocol.Pool
	detailed bool
}

func (a *poolsFound) frame(w *protocol.Writer, _ *call) {
	w.BeginMap(1)
	a.write(w, func(string) string { return "" })
	w.EndMap()
}

func (a *poolsFound) resource(x *exchange) {
	marker := ""
	if n := len(a.pools); n > 0 {
		marker = a.pools[n-1].Name
	}
	x.header("Content-Location", x.r.URL.RequestURI())
	x.json(200, func(w *protocol.Writer) {
		w.BeginMap(2)
		x.links(w, marker)
		a.write(w, func(name string) string { return x.href("pools", name) })
		w.EndMap()
	})
}

func (a *poolsFound) write(w *protocol.Writer, href func(name string) string) {
	w.Key("pools")
	w.BeginArray(len(a.pools))
	for i := range a.pools {
		p := &poolFound{pool: &a.pools[i], detailed: a.detailed}
		p.write(w, href(p.pool.Name))
	}
	w.EndArray()
}

// poolDelete handles pool_delete.
func (g *Gateway) poolDelete(c *call) {
	name := c.req.Fields.PoolName
	err := g.backend.DeletePool(c.context(), name)
	if err != nil && !errors.Is(err, protocol.ErrNoPool) {
		c.fail(g.poolKept(c, err))
		return
	}
	c.answer(204, textDone("Pool "+name+" removed."))
}

// poolKept says why a pool was not deleted: what names it is told if that can be found out.
func (g *Gateway) poolKept(c *call, err error) *protocol.Error {
	if errors.Is(err, protocol.ErrPoolInUse) {
		pool, lost := g.backend.Pool(c.context(), c.req.Fields.PoolName)
		if lost == nil && pool.Flavor != "" {
			return protocol.ErrorPoolInUseByFlavor(pool.Flavor).WithCause(err)
		}
	}
	return g.wireError(c, err)
}
