// Package notifier tells the other gateways of a database what changed, and hears the same from them, through
// PostgreSQL's NOTIFY and LISTEN.
//
// Everything that passes here is a hint, never data: whoever gets one reads the database. So hints may be merged,
// repeated, sent late or lost; a slow poll of the readers and the Reconnected event cover what is lost.
//
//	Dirty, QueueChanged, Released, SubscriptionsChanged ──> pending (merged, bounded) ──> sender ──NOTIFY──> other gateways
//	Sink <── listener <──LISTEN── other gateways
//
// The sender goroutine owns one connection. It takes all that is pending, packs it into as few payloads as
// possible and sends them in one transaction that writes no data, and therefore waits for no disk; what becomes
// dirty meanwhile is merged for the next round. The listener goroutine owns another connection, reconnects it with
// backoff, and says Reconnected each time LISTEN is in place. Start starts both, Stop waits for both.
//
// A NOTIFY costs the database up to a fifth of its post throughput, so a gateway that is alone sends none. Gateways
// find one another by hello hints: when a listener comes up and then at an interval. Whoever hears of
// a gateway that it did not know answers with a hello and the hint "everything", which makes up for what it did not
// send before. While the own listener is down, others are taken to exist.
package notifier
