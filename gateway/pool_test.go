package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

// poolBackend keeps a catalogue in memory. A URI that holds "down" cannot be reached.
type poolBackend struct {
	*sessionBackend
	mu      sync.Mutex
	pools   map[string]protocol.Pool
	flavors map[string]protocol.Flavor
	// used are pools that hold queues, and flavors that queues ask for.
	used   map[string]bool
	health protocol.Health
}

func newPoolBackend() *poolBackend {
	return &poolBackend{
		sessionBackend: newSessionBackend(),
		pools:          map[string]protocol.Pool{}, flavors: map[string]protocol.Flavor{}, used: map[string]bool{},
	}
}

func (b *poolBackend) CreatePool(_ context.Context, pool protocol.Pool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	pool.Name, pool.URI, pool.Flavor = strings.Clone(pool.Name), strings.Clone(pool.URI), strings.Clone(pool.Flavor)
	pool.Options = slices.Clone(pool.Options)
	if err := b.fits(pool); err != nil {
		return fmt.Errorf("create pool: %w", err)
	}
	b.pools[pool.Name] = pool
	return nil
}

// fits checks what a pool refers to.
func (b *poolBackend) fits(pool protocol.Pool) error {
	if strings.Contains(pool.URI, "down") {
		return protocol.ErrPoolUnreachable
	}
	if _, ok := b.flavors[pool.Flavor]; pool.Flavor != "" && !ok {
		return &protocol.FaultDetail{Fault: protocol.ErrNoFlavor, Detail: strings.Clone(pool.Flavor)}
	}
	for name, other := range b.pools {
		if name != pool.Name && other.URI == pool.URI {
			return protocol.ErrPoolExists
		}
	}
	if old, ok := b.pools[pool.Name]; ok && old.URI != pool.URI && b.used[pool.Name] {
		return protocol.ErrPoolInUse
	}
	return nil
}

func (b *poolBackend) Pool(_ context.Context, name string) (*protocol.Pool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pool, ok := b.pools[name]
	if !ok {
		return nil, fmt.Errorf("pool: %w", protocol.ErrNoPool)
	}
	return &pool, nil
}

func (b *poolBackend) Pools(_ context.Context, marker string, limit int) ([]protocol.Pool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return pageOf(b.pools, marker, limit), nil
}

// pageOf is a page of what a map holds, by its keys.
func pageOf[T any](items map[string]T, marker string, limit int) (page []T) {
	names := make([]string, 0, len(items))
	for name := range items {
		if name > marker {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names[:min(limit, len(names))] {
		page = append(page, items[name])
	}
	return page
}

func (b *poolBackend) UpdatePool(_ context.Context, name string, change protocol.PoolChange) (*protocol.Pool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pool, ok := b.pools[name]
	if !ok {
		return nil, protocol.ErrNoPool
	}
	if change.URI != nil {
		pool.URI = strings.Clone(*change.URI)
	}
	if change.Weight != nil {
		pool.Weight = *change.Weight
	}
	if change.Flavor != nil {
		pool.Flavor = strings.Clone(*change.Flavor)
	}
	if change.Options != nil {
		pool.Options = slices.Clone(change.Options)
	}
	if change.ListenURI != nil {
		pool.ListenURI = strings.Clone(*change.ListenURI)
	}
	if err := b.fits(pool); err != nil {
		return nil, err
	}
	b.pools[pool.Name] = pool
	return &pool, nil
}

func (b *poolBackend) DeletePool(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used[name] || b.pools[name].Flavor != "" {
		return protocol.ErrPoolInUse
	}
	delete(b.pools, name)
	return nil
}

func (b *poolBackend) CreateFlavor(_ context.Context, flavor protocol.Flavor) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := protocol.Flavor{Name: strings.Clone(flavor.Name)}
	for _, name := range flavor.Pools {
		own.Pools = append(own.Pools, strings.Clone(name))
	}
	return b.putFlavor(own)
}

func (b *poolBackend) putFlavor(flavor protocol.Flavor) error {
	for _, name := range flavor.Pools {
		if _, ok := b.pools[name]; !ok {
			return fmt.Errorf("flavor: %w", &protocol.FaultDetail{Fault: protocol.ErrNoPool, Detail: name})
		}
	}
	b.flavors[flavor.Name] = flavor
	return nil
}

func (b *poolBackend) Flavor(_ context.Context, name string) (*protocol.Flavor, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	flavor, ok := b.flavors[name]
	if !ok {
		return nil, protocol.ErrNoFlavor
	}
	return &flavor, nil
}

func (b *poolBackend) Flavors(_ context.Context, marker string, limit int) ([]protocol.Flavor, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return pageOf(b.flavors, marker, limit), nil
}

func (b *poolBackend) UpdateFlavor(_ context.Context, name string, change protocol.FlavorChange) (*protocol.Flavor, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	flavor, ok := b.flavors[name]
	if !ok {
		return nil, protocol.ErrNoFlavor
	}
	flavor.Pools = nil
	for _, pool := range change.Pools {
		flavor.Pools = append(flavor.Pools, strings.Clone(pool))
	}
	return &flavor, b.putFlavor(flavor)
}

func (b *poolBackend) DeleteFlavor(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used[name] {
		return protocol.ErrFlavorInUse
	}
	delete(b.flavors, name)
	return nil
}

func (b *poolBackend) Health(context.Context) protocol.Health { return b.health }

// TestPools goes through the record of pools, in its order, and what it does not have.
func TestPools(t *testing.T) {
	t.Parallel()
	b := newPoolBackend()
	b.flavors["fl"] = protocol.Flavor{Name: "fl"}
	b.pools["named"] = protocol.Pool{Name: "named", URI: "postgres://n", Flavor: "fl", Options: []byte(`{}`)}
	b.pools["used"] = protocol.Pool{Name: "used", URI: "postgres://u", Options: []byte(`{}`)}
	b.used["used"] = true
	notAdmin := `{"title":"Not authorized","description":"You are not authorized to complete this action."}`
	checkAll(t, b, []bothWays{
		{name: "not an administrator", request: "GET /v2/pools", headers: map[string]string{"X-Roles": "user"}, status: 403, response: notAdmin,
			action: "pool_list", frame: `{}`, role: "user", replyStatus: 403,
			reply: `{"exception":"You are not authorized to complete this action.","error":"Not authorized"}`},
		{name: "create", request: "PUT /v2/pools/p1", body: `{"weight":100,"uri":"postgres://u:hush@h/p1?sslmode=disable","options":{"a":1}}`, status: 201,
			got:    map[string]string{"Location": "/v2/pools/p1"},
			action: "pool_create", frame: `{"pool_name":"p2","weight":1,"uri":"postgres://u:hush@h/p2"}`, replyStatus: 201, reply: `"Pool p2 created."`},
		{name: "unreachable", request: "PUT /v2/pools/p3", body: `{"weight":1,"uri":"postgres://u:hush@down/x"}`, status: 400,
			response: `{"title":"Invalid request body","description":"cannot connect to postgres://u@down/x"}`,
			action:   "pool_create", frame: `{"pool_name":"p3","weight":1,"uri":"postgres://u:hush@down/x"}`, replyStatus: 400,
			reply: `{"exception":"cannot connect to postgres://u@down/x","error":null}`},
		{name: "the same database", request: "PUT /v2/pools/p3", body: `{"weight":1,"uri":"postgres://u:hush@h/p2"}`, status: 409,
			response: `{"title":"Resource conflict","description":"The database postgres://u@h/p2 is a pool already."}`,
			action:   "pool_create", frame: `{"pool_name":"p3","weight":1,"uri":"postgres://u:hush@h/p2"}`, replyStatus: 409,
			reply: `{"exception":"The database postgres://u@h/p2 is a pool already.","error":null}`},
		{name: "a flavor that does not exist", request: "PUT /v2/pools/p3", body: `{"weight":1,"uri":"postgres://x","flavor":"nope"}`, status: 400,
			response: `{"title":"Invalid API request","description":"Flavor nope does not exist"}`,
			action:   "pool_create", frame: `{"pool_name":"p3","weight":1,"uri":"postgres://x","flavor":"nope"}`, replyStatus: 400,
			reply: `{"exception":"Flavor nope does not exist","error":null}`},
		{name: "get", request: "GET /v2/pools/p1", status: 200,
			response: `{"name":"p1","uri":"postgres://u@h/p1?sslmode=disable","weight":100,"flavor":null,"href":"/v2/pools/p1"}`,
			action:   "pool_get", frame: `{"pool_name":"p2"}`, replyStatus: 200, reply: `{"name":"p2","uri":"postgres://u@h/p2","weight":1,"flavor":null}`},
		{name: "get, detailed", request: "GET /v2/pools/p1?detailed=true", status: 200,
			response: `{"name":"p1","uri":"postgres://u@h/p1?sslmode=disable","weight":100,"flavor":null,"options":{"a":1},"href":"/v2/pools/p1"}`,
			action:   "pool_get", frame: `{"pool_name":"p2","detailed":true}`, replyStatus: 200,
			reply: `{"name":"p2","uri":"postgres://u@h/p2","weight":1,"flavor":null,"options":{}}`},
		{name: "list", request: "GET /v2/pools?limit=1&detailed=true&marker=p1", status: 200,
			got: map[string]string{"Content-Location": "/v2/pools?limit=1&detailed=true&marker=p1"},
			response: `{"links":[{"rel":"next","href":"/v2/pools?marker=p2&limit=1&detailed=true"}],` +
				`"pools":[{"name":"p2","uri":"postgres://u@h/p2","weight":1,"flavor":null,"options":{},"href":"/v2/pools/p2"}]}`,
			action: "pool_list", frame: `{"limit":1,"marker":"p1"}`, replyStatus: 200,
			reply: `{"pools":[{"name":"p2","uri":"postgres://u@h/p2","weight":1,"flavor":null}]}`},
		{name: "list, next", request: "GET /v2/pools?detailed=true&limit=1", status: 200,
			response: `{"links":[{"rel":"next","href":"/v2/pools?limit=1&detailed=true&marker=named"}],` +
				`"pools":[{"name":"named","uri":"postgres://n","weight":0,"flavor":"fl","options":{},"href":"/v2/pools/named"}]}`},
		{name: "list, past the end", request: "GET /v2/pools?marker=z", status: 200, response: `{"links":[],"pools":[]}`,
			action: "pool_list", frame: `{"marker":"z"}`, replyStatus: 200, reply: `{"pools":[]}`},
		{name: "get, missing", request: "GET /v2/pools/nope", status: 404, response: `{"title":"Not found","description":"Pool nope does not exist"}`,
			action: "pool_get", frame: `{"pool_name":"nope"}`, replyStatus: 404, reply: `{"exception":"Pool nope does not exist","error":null}`},
		{name: "update", request: "PATCH /v2/pools/p1", body: `{"weight":60,"flavor":"fl"}`, status: 200,
			response: `{"name":"p1","uri":"postgres://u@h/p1?sslmode=disable","weight":60,"flavor":"fl","href":"/v2/pools/p1"}`,
			action:   "pool_update", frame: `{"pool_name":"p2","weight":2}`, replyStatus: 200,
			reply: `{"name":"p2","uri":"postgres://u@h/p2","weight":2,"flavor":null}`},
		{name: "update, missing", request: "PATCH /v2/pools/nope", body: `{"weight":60}`, status: 404,
			response: `{"title":"Not found","description":"Pool nope does not exist"}`},
		{name: "update, nothing known", request: "PATCH /v2/pools/p1", body: `{"x":60}`, status: 400,
			response: `{"title":"Invalid request body","description":"One of ` + "`uri`, `weight`, `flavor`, or `options`" + ` needs to be specified"}`,
			action:   "pool_update", frame: `{"pool_name":"p1"}`, replyStatus: 400,
			reply: `{"exception":"One of ` + "`uri`, `weight`, `flavor`, or `options`" + ` needs to be specified","error":null}`},
		{name: "update, queues are there", request: "PATCH /v2/pools/used", body: `{"uri":"postgres://other"}`, status: 403,
			response: `{"title":"Unable to update","description":"Pool used is used: queues are in it, or a flavor names it."}`},
		{name: "delete, a flavor names it", request: "DELETE /v2/pools/p1", status: 403,
			response: `{"title":"Unable to delete","description":"This pool is used by flavors fl; It cannot be deleted."}`,
			action:   "pool_delete", frame: `{"pool_name":"named"}`, replyStatus: 403,
			reply: `{"exception":"This pool is used by flavors fl; It cannot be deleted.","error":null}`},
		{name: "delete, queues are there", request: "DELETE /v2/pools/used", status: 403,
			response: `{"title":"Unable to delete","description":"Pool used is used: queues are in it, or a flavor names it."}`},
		{name: "out of its flavor", request: "PATCH /v2/pools/p1", body: `{"flavor":""}`, status: 200,
			response: `{"name":"p1","uri":"postgres://u@h/p1?sslmode=disable","weight":60,"flavor":"","href":"/v2/pools/p1"}`},
		{name: "a second address", request: "PATCH /v2/pools/p1", body: `{"options":{"listen":"postgres://u:hush@direct/p1","a":1}}`, status: 200,
			response: `{"name":"p1","uri":"postgres://u@h/p1?sslmode=disable","weight":60,"flavor":null,"href":"/v2/pools/p1"}`,
			action:   "pool_update", frame: `{"pool_name":"p2","options":{"listen":"postgres://u:hush@direct/p2"}}`, replyStatus: 200,
			reply: `{"name":"p2","uri":"postgres://u@h/p2","weight":2,"flavor":null}`},
		{name: "a second address, shown", request: "GET /v2/pools/p1?detailed=true", status: 200,
			response: `{"name":"p1","uri":"postgres://u@h/p1?sslmode=disable","weight":60,"flavor":null,"options":{"a":1,"listen":"postgres://u@direct/p1"},"href":"/v2/pools/p1"}`,
			action:   "pool_get", frame: `{"pool_name":"p2","detailed":true}`, replyStatus: 200,
			reply: `{"name":"p2","uri":"postgres://u@h/p2","weight":2,"flavor":null,"options":{"listen":"postgres://u@direct/p2"}}`},
		{name: "delete", request: "DELETE /v2/pools/p1", status: 204, action: "pool_delete", frame: `{"pool_name":"p2"}`, replyStatus: 204, reply: `"Pool p2 removed."`},
		{name: "delete, again", request: "DELETE /v2/pools/p1", status: 204, action: "pool_delete", frame: `{"pool_name":"p2"}`, replyStatus: 204, reply: `"Pool p2 removed."`},
	})
}

// TestFlavors goes through the record of flavors, in its order.
func TestFlavors(t *testing.T) {
	t.Parallel()
	b := newPoolBackend()
	b.pools["p1"] = protocol.Pool{Name: "p1"}
	b.used["busy"] = true
	b.flavors["busy"] = protocol.Flavor{Name: "busy"}
	const all = `["1","2","3","4","5"]`
	checkAll(t, b, []bothWays{
		{name: "create", request: "PUT /v2/flavors/f1", body: `{"pool_list":["p1"]}`, status: 201, got: map[string]string{"Location": "/v2/flavors/f1"},
			action: "flavor_create", frame: `{"flavor_name":"f2","pool_list":["p1","p1"]}`, replyStatus: 201, reply: `"Flavor f2 created."`},
		{name: "create, pool missing", request: "PUT /v2/flavors/f3", body: `{"pool_list":["p1","nope"]}`, status: 400,
			response: `{"title":"Unable to create","description":"Flavor f3 could not be created, error:Pool nope does not exist"}`,
			action:   "flavor_create", frame: `{"flavor_name":"f3","pool_list":["nope"]}`, replyStatus: 400,
			reply: `{"exception":"Flavor f3 could not be created, error:Pool nope does not exist","error":null}`},
		{name: "get", request: "GET /v2/flavors/f1", status: 200, response: `{"name":"f1","capabilities":` + all + `,"pool_list":["p1"],"href":"/v2/flavors/f1"}`,
			action: "flavor_get", frame: `{"flavor_name":"f2"}`, replyStatus: 200, reply: `{"name":"f2","capabilities":` + all + `,"pool_list":["p1"]}`},
		{name: "list", request: "GET /v2/flavors?marker=busy&limit=1", status: 200,
			response: `{"links":[{"rel":"next","href":"/v2/flavors?marker=f1&limit=1"}],"flavors":[{"name":"f1","href":"/v2/flavors/f1","pool_list":["p1"]}]}`,
			action:   "flavor_list", frame: `{"marker":"f1"}`, replyStatus: 200, reply: `{"flavors":[{"name":"f2","pool_list":["p1"]}]}`},
		{name: "list, detailed", request: "GET /v2/flavors?detailed=true&limit=1", status: 200,
			response: `{"links":[{"rel":"next","href":"/v2/flavors?limit=1&marker=busy&detailed=true"}],` +
				`"flavors":[{"name":"busy","href":"/v2/flavors/busy","pool_list":[],"capabilities":` + all + `}]}`,
			action: "flavor_list", frame: `{"marker":"f1","detailed":true}`, replyStatus: 200,
			reply: `{"flavors":[{"name":"f2","pool_list":["p1"],"capabilities":` + all + `}]}`},
		{name: "get, missing", request: "GET /v2/flavors/nope", status: 404, response: `{"title":"Not found","description":"Flavor nope does not exist"}`,
			action: "flavor_get", frame: `{"flavor_name":"nope"}`, replyStatus: 404, reply: `{"exception":"Flavor nope does not exist","error":null}`},
		{name: "update", request: "PATCH /v2/flavors/f1", body: `{"pool_list":["p1"]}`, status: 200,
			response: `{"name":"f1","capabilities":` + all + `,"pool_list":["p1"],"href":"/v2/flavors/f1"}`,
			action:   "flavor_update", frame: `{"flavor_name":"f2","pool_list":["p1"]}`, replyStatus: 200,
			reply: `{"name":"f2","capabilities":` + all + `,"pool_list":["p1"]}`},
		{name: "update, pool missing", request: "PATCH /v2/flavors/f1", body: `{"pool_list":["nope"]}`, status: 400,
			response: `{"title":"updatefail","description":"Flavor f1 cant be updated, error:Pool nope does not exist"}`},
		{name: "update, missing", request: "PATCH /v2/flavors/nope", body: `{"pool_list":["p1"]}`, status: 404,
			response: `{"title":"Not found","description":"Flavor nope does not exist"}`},
		{name: "delete, queues ask for it", request: "DELETE /v2/flavors/busy", status: 403,
			response: `{"title":"Unable to delete","description":"Flavor busy is used by queues; It cannot be deleted."}`,
			action:   "flavor_delete", frame: `{"flavor_name":"busy"}`, replyStatus: 403,
			reply: `{"exception":"Flavor busy is used by queues; It cannot be deleted.","error":null}`},
		{name: "delete", request: "DELETE /v2/flavors/f1", status: 204, action: "flavor_delete", frame: `{"flavor_name":"f2"}`, replyStatus: 204, reply: `"Flavor f2 removed."`},
		{name: "delete, again", request: "DELETE /v2/flavors/f1", status: 204},
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	well := protocol.PoolHealth{Name: protocol.DefaultPool, Reachable: true, Free: 1, Claimed: 2, Total: 3,
		Operations: []protocol.OperationHealth{{Name: "create_queue", Succeeded: true, Seconds: 0.00001931}, {Name: "delete_queue", Seconds: 2, Ref: "r"}}}
	sick := protocol.PoolHealth{Name: "east", Free: -1, Claimed: -1, Total: -1}
	const told = `{"storage_reachable":true,"operation_status":{"create_queue":{"succeeded":true,"seconds":1.931e-05,"ref":null},` +
		`"delete_queue":{"succeeded":false,"seconds":2,"ref":"r"}},"message_volume":{"free":1,"claimed":2,"total":3}}`
	for name, c := range map[string]struct {
		health protocol.Health
		want   string
	}{
		"one pool": {protocol.Health{CatalogReachable: true, Pools: []protocol.PoolHealth{well}}, told},
		"two pools": {protocol.Health{CatalogReachable: true, Pools: []protocol.PoolHealth{well, sick}},
			`{"catalog_reachable":true,"default":` + told + `,"east":{"storage_reachable":false,"operation_status":{}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newPoolBackend()
			b.health = c.health
			checkAll(t, b, []bothWays{
				{name: "health", request: "GET /v2/health", status: 200, response: c.want,
					action: "check_node_health", frame: `{}`, replyStatus: 200, reply: c.want},
				{name: "not an administrator", request: "GET /v2/health", headers: map[string]string{"X-Roles": ""}, status: 403,
					response: `{"title":"Not authorized","description":"You are not authorized to complete this action."}`},
				{name: "ping", request: "GET /v2/ping", status: 204, action: "ping_node", frame: `{}`, replyStatus: 204, reply: `{}`},
				{name: "ping, HEAD", request: "HEAD /v2/ping", status: 204},
			})
		})
	}
}
