// Package gateway serves WebSocket sessions and REST requests: it reads action frames and requests, carries them out on a
// Backend, and sends replies and pushes. It imports protocol and neither the store nor the notifier.
//
// # A frame's way
//
//	socket -> conn.Read -> library -> session.read -> protocol.Decode -> session.take -> pipeline -> handler -> Backend
//	socket <- outbound <- session.answered <- call.answer <- handler, or call.Done from the store
//
// conn is what the library is given for a connection. It reads in large pieces into memory that is held only until it
// is worked off, and before it waits for more input it writes what replies there are: a client that sends one frame at
// a time is served by one goroutine, and one that pipelines gets many replies in one write. It knows when a frame has
// begun, takes the library's close frames, and is the only one to close the socket.
//
// A call is one frame with everything that its handler needs, pooled. The pipeline decides when it may start: frames
// of one queue take effect in the order sent, and only their like overlap. Handlers that wait for the database run in
// the gateway's pool (blockers), the others where they are started; posts, claims and deletes are told of their end by
// the store. Replies to frames without id leave in the order of the requests.
//
// outbound holds what waits for the socket: encoded replies, the newest pong, a ping, the close frame, and the sources
// (subscriptions) that have pushes. Whoever has something wakes it; a goroutine that lives only while there is
// something to write takes all replies, then a share from each source in turn, and writes it in one call. Replies and
// pushes so have budgets of their own: replies stop the reading of their session (MaxReplyBytes), pushes are asked for
// when the socket has room and are kept nowhere before.
//
// # A request's way
//
//	net/http -> exchange.admit -> exchange.readBody -> protocol.DecodeREST -> exchange.carry -> handler -> Backend
//	net/http <- exchange.respond <- exchange.await <- exchange.answered <- call.answer <- handler, or call.Done
//
// REST is a mapping onto the same calls: the route table (restroute.go) says which action a method on a path asks for,
// and a handler's answer writes itself as a frame's body or as a resource. A call knows its peer, a session or an
// exchange, and only the few handlers that need a socket know more. The request's goroutine waits for the answer; the
// handler runs in the gateway's pool or is told of its end by the store, as for a frame. There is no pipeline: requests
// of one client may overtake one another.
//
// # Waiting and streams
//
// A claim or a list that may wait for a message enters its queue's room (wait.go) before it looks at the store. If it
// finds nothing it is parked there: it gives back everything but its frame, and events (posts here and elsewhere,
// releases, queues that are made) have it look again. A scout now and then finds what nobody tells of.
//
// An event stream (stream.go) is a subscriber like a socket's, with an encoding of its own; the request's goroutine is its
// writer. Where a subscriber begins is for startpoint.go to find.
//
// # Bounds
//
// A session that has too much outstanding, or whose replies are not taken, is not read until that changes; nor is one
// that holds more than its allowance while the frames and replies of all sessions fill the memory budget. Fetches, whose
// replies may be large, begin only when there is room for what they are expected to bring (admission.go). While others
// wait for memory, those that hold most and are slow are closed (pressure.go). While it does not read, a session owes
// no pong: then only the socket's progress is judged. A socket that takes nothing, a frame that does not end and a
// peer that does not answer pings close their session. A call whose time is up is answered 503, whether it waits or runs
// (deadline.go). All of that is watched by one goroutine (keepalive), so an idle
// session costs one goroutine, no timer, and no buffers but the library's small ones.
//
// Requests have bounds of their own: how many are carried out at a time, in all and of each address (restbound.go), how
// long a body may take (restbody.go) and how long a client may take for a piece of its response. Their bodies and
// responses count in the same memory budget. A client that hangs up is noticed while its request waits.
//
// # Who owns which goroutine
//
//   - Gateway.running: one per session (session.run). It waits for session.work before it ends.
//   - session.work: the writer of the session's outbound buffer, whoever starts frames that had to wait, and one count
//     for each unanswered frame.
//   - net/http owns one per request; restBounds.await waits until their calls have ended.
//   - blockers.work: handlers that wait for the database, and whoever lets fetches begin that waited for memory.
//   - Gateway.background: the keepalive and, in Stop, the wait for the sessions.
//   - Gateway.background also has the one that starts woken calls (parking.run).
//   - The hub owns its own: fan-out workers, readers and loops (hub.go).
//
// Stop waits for all of them: sessions and requests first, for they use the others.
//
// # Locks
//
// In the order in which they may be taken together: session.mu, outbound.mu; outbound.pull, the locks of a source,
// outbound.mu. restBounds.mu, parking.mu and streams.mu are taken alone. None is held across I/O, nor while a handler runs.
package gateway
