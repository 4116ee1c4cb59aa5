// Package store keeps queues, messages, claims and subscriptions in PostgreSQL.
//
// # Data flow
//
// Operations that clients send in numbers do not wait for a statement each; they are collected and written together:
//
//	Post   -> posts (a lane per queue, turns per project) -> flusher -> one transaction -> Observer, Waiters
//	Claim  -> claimer (a line per queue, a floor)         -> workers -> one statement per queue -> Waiters
//	Delete -> deletes                                     -> one statement for all -> Waiters
//
// There are no timers: what arrives while a statement runs makes up the next. Everything else is a call that runs its
// statements on a connection of the pool.
//
// A message gets its number from its queue's counter row, whose lock is held to the commit. So numbers become visible
// in order and without holes: who has seen number n and asks for what comes after n misses nothing. The counter row is
// also the fence: its absence means that the queue is gone, and every write checks it.
// Messages that may not be numbered yet wait in the inbox until the promoter numbers them. Theirs are the inbox's ids,
// which are given out under the counter's lock too: that is how a purge divides them.
//
// What is over (expired, purged, consumed, of deleted queues) is passed over by readers at once and removed by the
// sweeper later. Whatever takes a message out counts it in queue_count, in the statement that does it, under the purge
// epoch of the same snapshot; so totals need no counting (see stats.go).
//
// Durable subscriptions (webhooks, mail) keep their cursor in a row of delivery, which belongs to whoever has its lease:
// every write of a deliverer's checks gateway, token and time in that row. Their queues stay observed, and what is
// consumed stays as a tombstone until the last of their cursors has passed it, or it expires (see watch.go, sweepqueue.go).
//
// Time is the database's alone: this process compares no timestamps of rows with its own clock.
//
// # Lock order
//
// A transaction takes its locks in this order, and later ones never before earlier ones:
//
//  1. idempotency keys, sorted;
//  2. the names of queues that dead letters tie (advisory locks, see tie.go), sorted; who changes a queue's metadata has its
//     row already, for which nobody waits who has these;
//  3. the catalogue's row (installation), by who changes pools or flavors, and then rows of pool and flavor, which making
//     a queue takes shared; a queue's id among those that were placed (placed_queue); a queue's row by name (create,
//     delete, update): one per transaction;
//  4. counter rows (queue_seq), sorted by queue id; a flush and a promotion take many, all others one;
//  5. rows of message, inbox, promoted, gateway: only with FOR UPDATE SKIP LOCKED. Who needs a row that is locked answers
//     for it separately or leaves it to the next pass. The sweeper takes rows of subscription and dead_delivery likewise;
//     others take a row of subscription, then its row of delivery, then its rows of dead_delivery; whoever takes several
//     subscriptions takes them in the order of their ids. Deliverers begin with the row of delivery. After these,
//     rows of queue_watch, sorted by queue id;
//  6. rows of queue_count: each writer of each gateway has its own, and only the sweeper takes others', with SKIP LOCKED.
//     Who has one waits for nothing but the flusher, which takes the next queue's counter: and nobody who has a counter
//     waits for a row of the flusher's.
//
// Rows of confirmation_quota are taken sorted, in a transaction of their own.
//
// Purging and deleting a queue touch no row but the queue's and its counter's; the sweeper removes the messages.
// The tests fail when PostgreSQL reports a deadlock.
//
// # Pools
//
// A Store is one database. Where there are several (package pools), the one of the default pool has a row of queue for
// every queue; those with a pool_id are elsewhere, have no counter here, and are answered with an ElsewhereError. The
// others ask Placement before they call a queue missing.
//
// # Goroutines
//
// Start starts them and Stop waits for all of them:
//
//   - the flusher: it alone uses its connection; it takes from posts, writes, tells the Observer, then the Waiters;
//   - the teller of posts: answers those that are refused or withdrawn, so that they are answered in time also while
//     the flusher waits for the database;
//   - look-ups of queues for waiting posts: on demand, a few at a time;
//   - the claimer's workers and the deleter (see claimer.go and delete.go);
//   - the promoter, the sweeper, and the renewal of this gateway's lease.
//
// The Observer's Committed is called by flusher and promoter, one call at a time.
//
// # Errors
//
// Errors are those of package protocol, wrapped, wherever a caller can do something about them. ErrUnavailable means
// that nothing was changed; ErrOutcomeUnknown that the connection was lost around a commit, and nobody knows: the
// store never repeats such a write.
package store
