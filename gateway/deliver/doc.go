// Package deliver sends the messages of queues to durable subscribers: webhooks and mailboxes. It imports protocol and
// libraries only.
//
// # Data flow
//
//	Backend.LeaseDurable ──> stream per subscription ──turn──> Endpoints ──slot──> run ──> Sink (webhook, mail)
//	Wake, Committed, QueueChanged ──> hints ──> wake ─┘                            │
//	poll of heads (safety net) ───────────────────────┘       page of Feed <───────┤
//	                                                  SaveProgress, BuryDelivery <─┘
//
// An Engine serves one pool. It leases subscriptions, renews the leases at a third of their time, and keeps a stream for
// each: its cursor, the attempts that have failed, what it waits for. A stream that waits, for a message, for the time of
// its next attempt or for its turn, holds no goroutine and no message.
//
// All engines of a process share one Endpoints. An endpoint is what the deliveries of many subscriptions depend on
// together: scheme, host and port of webhooks, the mail server of mailboxes. A stream that has something to do asks for a
// turn at its endpoint and gets a slot; then a run reads one page, sends it in order, one request at a time, and gives the
// slot back. Slots are bounded per endpoint and in all, and endpoints are divided into lanes by how their last requests
// went, each lane with slots and memory of its own: so those that are dead, slow or not yet known take nothing from those
// that are well. Projects take turns in each lane and have endpoints of their own, which share no more than the bound on
// the requests to one host: a project with thousands of endpoints that hang delays no other. A run that has had its slot
// for long gives it back when others wait. A circuit breaker per endpoint stops requests to one that is down; its streams
// then wait in line without spending attempts, while a probe is sent from time to time.
//
// # Promises
//
//   - In order and at least once: the cursor passes a message only after its endpoint has taken it (2xx) or after it was
//     stored as a dead delivery. It is saved a little later (Config.SaveInterval): a gateway that dies sends at most
//     what it had not saved again, under the same webhook-id.
//   - One gateway at a time: no request starts unless the lease outlasts it, and everything that is saved is fenced by the
//     lease's token.
//   - What is missing is told: gaps are sent like messages.
//
// # What counts as delivered
//
// Only an answer of 2xx. Everything else, 410 Gone included, is a failed attempt, repeated by the retry policy of the
// subscription or its queue, and buried as a dead delivery after the last. Failures that say something about the endpoint
// rather than about the message (no connection, no answer in time, 502, 503, 504) count for its circuit breaker too.
//
// # Goroutines
//
// Engine.Start starts the loops that lease, renew, compare heads, pass on hints, keep time and save; a run is a goroutine
// of its engine for as long as it has a slot. Engine.Stop waits for all of them. Endpoints has timers only.
package deliver
