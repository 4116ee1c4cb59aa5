package gateway

import (
	"strconv"

	"github.com/nusku-messaging/nusku/protocol"
)

// pingNode handles ping_node: the gateway answers, and asks nobody.
func (g *Gateway) pingNode(c *call) { c.answer(204, done{}) }

// checkHealth handles check_node_health. What does not work is in the answer, which is 200 all the same, as on Zaqar.
func (g *Gateway) checkHealth(c *call) { c.answer(200, healthFound(g.backend.Health(c.context()))) }

// healthFound is how the pools are. The default pool, when it is the only one, is told flatly, as by a Zaqar without
// pools; several are told by name.
type healthFound protocol.Health

func (a healthFound) frame(w *protocol.Writer, _ *call) { a.write(w) }
func (a healthFound) resource(x *exchange)              { x.json(200, a.write) }

func (a healthFound) write(w *protocol.Writer) {
	if len(a.Pools) == 1 {
		writePoolHealth(w, &a.Pools[0])
		return
	}
	w.BeginMap(1 + len(a.Pools))
	w.Key("catalog_reachable")
	w.Bool(a.CatalogReachable)
	for i := range a.Pools {
		w.Key(a.Pools[i].Name) // a pool's name has no character that a key cannot have
		writePoolHealth(w, &a.Pools[i])
	}
	w.EndMap()
}

func writePoolHealth(w *protocol.Writer, p *protocol.PoolHealth) {
	counted := p.Total >= 0
	w.BeginMap(2 + countIf(counted) + countIf(p.Ref != ""))
	w.Key("storage_reachable")
	w.Bool(p.Reachable)
	if p.Ref != "" {
		w.Key("ref")
		w.String(p.Ref)
	}
	w.Key("operation_status")
	w.BeginMap(len(p.Operations))
	for i := range p.Operations {
		w.Key(p.Operations[i].Name)
		writeOperation(w, &p.Operations[i])
	}
	w.EndMap()
	if counted {
		w.Key("message_volume")
		w.BeginMap(3)
		for _, count := range []statsCount{{"free", p.Free}, {"claimed", p.Claimed}, {"total", p.Total}} {
			w.Key(count.key)
			w.Int(count.n)
		}
		w.EndMap()
	}
	w.EndMap()
}

func writeOperation(w *protocol.Writer, o *protocol.OperationHealth) {
	w.BeginMap(3)
	w.Key("succeeded")
	w.Bool(o.Succeeded)
	w.Key("seconds")
	w.RawJSON(strconv.AppendFloat(nil, o.Seconds, 'g', -1, 64))
	w.Key("ref")
	if o.Ref == "" {
		w.Null()
	} else {
		w.String(o.Ref)
	}
	w.EndMap()
}
