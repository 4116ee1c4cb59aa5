// Package pools makes several databases one store: a Router sends each operation to the database that has its queue.
//
// # What is where
//
// A pool is a database with a store.Store of its own: its own flusher, claims, promoter and sweeper. The default pool,
// whose database also holds the catalogue, is always there. The catalogue has a row for every queue (table queue of the
// default pool, whose identity column gives the ids of all queues): its pool_id says where the queue is. A queue of the
// default pool is made by one statement, as if there were no pools. One that is elsewhere is first placed, by a row of the
// catalogue, and then made in its pool under the catalogue's id; whoever finds it placed but not made finishes that. If the
// pool cannot make it, its place is taken back, and another pool is chosen: the row says that it is tentative until another
// than who wrote it tries to make the queue, so what is taken back is in no pool, and never will be. It is deleted the
// other way round: marked in the catalogue, dropped in its pool, where its id is dead from then on, and taken out of the
// catalogue. Whoever finds it marked finishes that, at last the Router of any gateway, by and by. A queue
// stays where it is until it is deleted.
//
// # Who knows where a queue is
//
// The stores do. The store of the default pool reads the catalogue when it looks a queue up, and the others ask it, by
// store.Placement, before they call a queue missing. A store that was asked for the wrong queue does nothing and answers
// with a store.ElsewhereError. So the Router only remembers, in a bounded cache, which queues are not in the default pool;
// what it remembers may be wrong and it may forget it at any time. Operations follow the errors to the right pool; posts
// of one queue keep their order on the way (see route.go). While the catalogue is away, queues in other pools work as long as
// the Router remembers them.
//
// With no pool but the default one, every method goes straight to its store, after one atomic load.
//
// # Goroutines
//
// Start starts one that keeps the list of pools up to date (manager.go), and one for each other pool, which opens its
// store, trying again for as long as it takes, asks it every second whether it still answers (pulse.go), and closes it in
// the end (member.go); one answers operations that no store
// has taken (waiting.go). Stop waits for all of them.
package pools
