package protocol

// DefaultPool is the name of the pool that always exists: the database that also holds the catalogue of pools, flavors
// and of where each queue is.
const DefaultPool = "default"

// Pool is a PostgreSQL database that holds queues.
type Pool struct {
	Name string
	// URI says where the database is. It may hold a password: see ShownURI.
	URI string
	// ListenURI is a direct connection for LISTEN where URI goes through a connection pooler; "" is URI. Clients set it by
	// ListenOption. It may hold a password too.
	ListenURI string
	// Weight is the pool's share of the new queues, relative to the others'; 0 gets none.
	Weight int64
	// Flavor is the flavor that the pool belongs to; "" is none.
	Flavor string
	// Options is a JSON object; see ShownOptions.
	Options []byte
}

// PoolChange is what pool_update changes; nil leaves a field as it is.
type PoolChange struct {
	URI       *string
	ListenURI *string
	Weight    *int64
	Flavor    *string
	Options   []byte
}

// Flavor names the pools that new queues which ask for it may be placed in.
type Flavor struct {
	Name string
	// Pools are the names of its pools, sorted.
	Pools []string
	// Capabilities is a JSON object or array; nil for what the pools' stores can do.
	Capabilities []byte
}

// FlavorChange is what flavor_update changes; nil leaves a field as it is.
type FlavorChange struct {
	Pools        []string
	Capabilities []byte
}

// Health is what check_node_health found.
type Health struct {
	// CatalogReachable says whether the database that knows where queues are answers.
	CatalogReachable bool
	// Pools begins with the default pool; the others follow by name.
	Pools []PoolHealth
}

// PoolHealth is the health of one pool.
type PoolHealth struct {
	Name      string
	Reachable bool
	// Ref is what to look for in the log when the pool is not reachable; "" if it is.
	Ref string
	// Operations are real operations, in the order in which they were tried; none when the pool is not reachable.
	Operations []OperationHealth
	// Free, Claimed and Total count the pool's messages; -1 if they could not be counted.
	Free, Claimed, Total int64
}

// OperationHealth is how one operation went.
type OperationHealth struct {
	Name      string
	Succeeded bool
	Seconds   float64
	// Ref is what to look for in the log; "" if the operation succeeded.
	Ref string
}
