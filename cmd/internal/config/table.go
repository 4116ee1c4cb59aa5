package config

import (
	"math"
	"slices"
	"time"

	"github.com/nusku-messaging/nusku/notifier"
	"github.com/nusku-messaging/nusku/protocol"
)

// table lists all settings, bound to the fields of s, in the order of --help.
func table(s *Settings) []setting {
	return slices.Concat(
		serveTable(s),
		logTable(s),
		databaseTable(s),
		postgresTable(s),
		limitTable(&s.Gateway.Limits),
		ttlTable(&s.Gateway.Limits),
		sessionTable(&s.Gateway),
		timeoutTable(&s.Gateway),
		restTable(&s.Gateway.REST),
		waitTable(&s.Gateway.Wait),
		streamTable(&s.Gateway.Streams),
		linkTable(&s.Gateway.Links),
		deliveryTable(&s.Delivery),
		webhookTable(&s.Delivery.Webhook),
		mailTable(&s.Mail),
		pushTable(&s.Gateway.Push),
		connectionTable(&s.Store),
		postTable(&s.Store),
		claimTable(&s.Store.Claims),
		upkeepTable(&s.Store),
		deadDeliveryTable(&s.Store.Deliveries),
		poolTable(&s.Pools),
		notifierTable(&s.Notifier),
	)
}

func serveTable(s *Settings) []setting {
	return inGroup("Gateway",
		text("listen", &s.Listen, "ADDRESS", "Serve on this host:port; port 0 takes a free one."),
		auth(&s.Auth),
		toggle("insecure", &s.Insecure, "Serve on an address that other machines reach although clients are not asked who they are."),
		text("ready-file", &s.ReadyFile, "FILE", "Write the address that is served to this file once it is."),
		duration("drain-timeout", &s.DrainTimeout, 0, time.Hour, "How long sessions and stored work may take to end when the gateway is asked to; the embedded PostgreSQL ends after that."),
	)
}

func logTable(s *Settings) []setting {
	return inGroup("Log",
		oneOf("log-format", &s.LogFormat, []string{LogAuto, LogConsole, LogJSON}, "How the log is written to standard error; auto is console on a terminal and json elsewhere."),
		level("log-level", &s.LogLevel, "The least severe events that are logged."),
	)
}

func databaseTable(s *Settings) []setting {
	return inGroup("Database",
		databaseURL("database-url", &s.DatabaseURL, "Use this PostgreSQL, 14 or newer, like postgres://user@host/database. Without it the gateway runs its own."),
		databaseURL("listen-database-url", &s.ListenDatabaseURL, "A direct connection to the same database for LISTEN, where the database URL goes through a pooler."),
		duration("db-wait", &s.DatabaseWait, 0, time.Hour, "How long a start waits for such a database that does not answer."),
		duration("db-stop-timeout", &s.DatabaseStopTimeout, 0, time.Hour, "How much longer than drain-timeout an exit may take for connections to close and the embedded PostgreSQL to end in order; one that is cut recovers at its next start."),
	)
}

func postgresTable(s *Settings) []setting {
	c := &s.Postgres
	return inGroup("Embedded PostgreSQL (without --database-url)",
		text("data-dir", &c.DataDir, "FOLDER", "Keep the data here; the default is nusku in the user's data folder, /var/lib/nusku for root."),
		text("postgres-bin", &c.BinDir, "FOLDER", "The folder of the programs postgres and initdb; without it PATH and the usual places are searched."),
		number("postgres-max-connections", &c.MaxConnections, 20, 10_000, "N", "Connections that it allows."),
		size("postgres-shared-buffers", &c.SharedBuffers, 0, 1<<40, "Memory for its page cache, at least 16MiB; 0B is an eighth of the machine's, 1GiB at most."),
		size("postgres-max-wal", &c.MaxWAL, 0, 1<<50, "Write-ahead log between two checkpoints, at least 64MiB; 0B is a tenth of the disk, 4GiB at most."),
		duration("postgres-restart-delay", &c.RestartDelay, time.Millisecond, time.Minute, "Pause before it is restarted the second time in a row; doubles from there."),
		duration("postgres-restart-delay-max", &c.RestartDelayMax, time.Millisecond, time.Hour, "Longest such pause."),
		duration("postgres-leftover-timeout", &c.LeftoverTimeout, time.Second, time.Hour, "How long to wait for the server that a killed gateway left behind."),
	)
}

func limitTable(l *protocol.Limits) []setting {
	return inGroup("Limits of requests",
		size("max-frame", &l.MaxFrameBytes, 1<<10, 1<<30, "Largest frame that is read; a larger one closes the session with code 1009."),
		number("max-depth", &l.MaxDepth, 8, 1000, "N", "How deep arrays and objects of a frame may nest."),
		size("max-id", &l.MaxIDBytes, 16, 4096, "Largest id of a frame, as encoded."),
		number("max-queue-name", &l.MaxQueueNameLength, 1, 255, "N", "Longest name of a queue, in characters."),
		number("max-project-id", &l.MaxProjectIDLength, 1, 1024, "N", "Longest id of a project, in characters."),
		size("max-metadata", &l.MaxMetadataBytes, 2, 1<<20, "Largest metadata of a queue."),
		size("max-post", &l.MaxPostBytes, 64, 256<<20, "Largest post: all its messages, as sent."),
		number("max-messages-per-post", &l.MaxMessagesPerPost, 1, 100_000, "N", "Most messages of one post."),
		number("max-messages-per-claim", &l.MaxMessagesPerClaim, 1, 10_000, "N", "Most messages of one claim or pop."),
		number("messages-per-claim", &l.DefaultMessagesPerClaim, 1, 10_000, "N", "Messages of a claim that does not say."),
		number("max-queues-per-page", &l.MaxQueuesPerPage, 1, 10_000, "N", "Largest page of queue_list and topic_list."),
		number("max-messages-per-page", &l.MaxMessagesPerPage, 1, 10_000, "N", "Largest page of message_list, and most ids of message_get_many and message_delete_many."),
		number("max-subscriptions-per-page", &l.MaxSubscriptionsPerPage, 1, 10_000, "N", "Largest page of subscription_list and dead_delivery_list."),
		number("max-pools-per-page", &l.MaxPoolsPerPage, 1, 10_000, "N", "Largest page of pool_list."),
		number("max-flavors-per-page", &l.MaxFlavorsPerPage, 1, 10_000, "N", "Largest page of flavor_list."),
		number("page", &l.DefaultPage, 1, 10_000, "N", "Page of a list that does not say."),
		size("max-subscriber", &l.MaxSubscriberBytes, 64, 2048, "Longest URI of a subscriber."),
		size("max-options", &l.MaxOptionsBytes, 2, 1<<20, "Largest options of a subscription or of a pool."),
		list("subscriber-schemes", &l.SubscriberSchemes, "LIST", "URI schemes that a subscriber may have, separated by commas."),
		toggle("message-delete-with-claim-id", &l.MessageDeleteWithClaimID, "Demand the claims that hold the messages in message_delete_many by ids."),
	)
}

func ttlTable(l *protocol.Limits) []setting {
	return inGroup("Limits of times, in seconds",
		number("min-message-ttl", &l.MinMessageTTL, 1, math.MaxInt32, "SECONDS", "Shortest time to live of a message."),
		number("max-message-ttl", &l.MaxMessageTTL, 1, math.MaxInt32, "SECONDS", "Longest time to live of a message."),
		number("message-ttl", &l.DefaultMessageTTL, 1, math.MaxInt32, "SECONDS", "Time to live of a message that does not say, in a queue that does not."),
		number("max-message-delay", &l.MaxMessageDelay, 0, math.MaxInt32, "SECONDS", "Longest delay of a message."),
		number("max-wait", &l.MaxWait, 0, 3600, "SECONDS", "Longest wait of claim_create and message_list."),
		number("min-claim-ttl", &l.MinClaimTTL, 1, math.MaxInt32, "SECONDS", "Shortest time to live of a claim."),
		number("max-claim-ttl", &l.MaxClaimTTL, 1, math.MaxInt32, "SECONDS", "Longest time to live of a claim."),
		number("claim-ttl", &l.DefaultClaimTTL, 1, math.MaxInt32, "SECONDS", "Time to live of a claim that does not say."),
		number("min-claim-grace", &l.MinClaimGrace, 0, math.MaxInt32, "SECONDS", "Shortest grace of a claim."),
		number("max-claim-grace", &l.MaxClaimGrace, 0, math.MaxInt32, "SECONDS", "Longest grace of a claim."),
		number("claim-grace", &l.DefaultClaimGrace, 0, math.MaxInt32, "SECONDS", "Grace of a claim that does not say."),
		number("min-subscription-ttl", &l.MinSubscriptionTTL, 1, math.MaxInt32, "SECONDS", "Shortest time to live of a subscription."),
		number("max-subscription-ttl", &l.MaxSubscriptionTTL, 1, math.MaxInt32, "SECONDS", "Longest time to live of a subscription."),
		number("subscription-ttl", &l.DefaultSubscriptionTTL, 1, math.MaxInt32, "SECONDS", "Time to live of a subscription that does not say."),
	)
}

func notifierTable(c *notifier.Config) []setting {
	return inGroup("Other gateways on the same database",
		text("notify-channel", &c.Channel, "NAME", "PostgreSQL channel on which gateways wake one another, the same for all of them; 1 to 63 bytes."),
		number("notify-max-pending", &c.MaxPending, 1, 1_000_000, "N", "Wakes that may wait to be sent; past it one that stands for all is sent."),
		duration("notify-timeout", &c.Timeout, 100*time.Millisecond, time.Minute, "How long connecting, a send and a check of the connection may take."),
		duration("notify-check-interval", &c.CheckInterval, 100*time.Millisecond, 10*time.Minute, "How long the listening connection may be silent before it is checked."),
		duration("notify-hello-interval", &c.HelloInterval, 100*time.Millisecond, time.Minute, "How often a gateway makes itself known, the same for all of them."),
		duration("notify-reconnect-min", &c.ReconnectMin, 10*time.Millisecond, time.Minute, "First pause before a lost connection is opened again."),
		duration("notify-reconnect-max", &c.ReconnectMax, 10*time.Millisecond, time.Minute, "Longest such pause."),
	)
}
