package config

import "github.com/nusku-messaging/nusku/store/pools"

func poolTable(c *pools.Config) []setting {
	return inGroup("Pools",
		number("default-pool-weight", &c.DefaultWeight, 0, 1<<32-1, "N", "The default pool's share of new queues without a flavor, relative to the weights of the other pools; 0 gives it none."),
		number("pool-max-conns", &c.MaxConns, 2, 1000, "N", "Connections to each other pool's database, besides one for posts and two for other gateways."),
		duration("pool-connect-timeout", &c.ConnectTimeout, 100*ms, 10*mins, "How long connecting to a pool and bringing its database up to date may take."),
		duration("pool-open-wait", &c.OpenWait, 0, mins, "How long a start, and a request for a pool that was just made, wait for a pool to be opened."),
		duration("pool-retry-min", &c.RetryMin, 10*ms, 10*mins, "First pause before a pool that is away is tried again."),
		duration("pool-retry-max", &c.RetryMax, 10*ms, 10*mins, "Longest such pause."),
		duration("pool-ping", &c.Ping, 100*ms, mins, "How often each pool is asked whether it answers; new queues go to those that do."),
		duration("pool-poll", &c.Poll, 100*ms, 10*mins, "How often the list of pools is read, and what was left half done is finished."),
		number("pool-routes", &c.Routes, 16, 10_000_000, "N", "Queues in other pools whose place is remembered."),
		duration("health-timeout", &c.HealthTimeout, 100*ms, mins, "How long check_node_health may take."),
		duration("health-volume-timeout", &c.VolumeTimeout, 10*ms, mins, "How long it may count the messages of a pool; past that its answer has no message_volume for the pool."),
	)
}
