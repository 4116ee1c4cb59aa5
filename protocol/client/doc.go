// Package client talks to a Nusku gateway over one WebSocket.
//
//	c, err := client.Dial(ctx, "ws://127.0.0.1:8888", client.Options{})
//	ids, err := c.Post(ctx, "jobs", client.NewMessage{Body: map[string]int{"n": 1}})
//	claim, err := c.Claim(ctx, "jobs", client.ClaimOptions{Limit: 10})
//
// # How requests flow
//
// Every request carries an id, so any number of goroutines may use one Client at once: requests are written in the
// order in which they were started, and each reply finds its request. Start returns before the reply is there, which
// is how one goroutine keeps many requests under way; Call, and the typed methods above it, wait. At most
// Options.MaxInFlight requests are outstanding; the next one waits.
//
// # Topics
//
// What takes the name of a queue takes Topic's names as well: Post(ctx, Topic("news"), …) posts to the topic news, which
// has nothing to do with a queue of that name.
//
// # How pushes flow
//
// Subscribe makes the gateway push a queue's messages to this client. They are kept, in order, until Subscription.Next
// takes them. What is kept is bounded: past Options.PushBuffer bytes the client stops reading its socket, so a slow
// consumer slows the gateway's sending down and loses nothing. Nothing is dropped on either side; where history is
// gone, an event of kind Gapped says so.
//
// # When the connection is lost
//
// Requests under way fail with a *DisconnectedError, which tells whether the gateway may have seen them. With
// Options.Reconnect the client dials again with growing pauses, subscribes again (an event of kind Resumed marks the
// place) and then serves the requests that were started meanwhile. It never repeats a request by itself.
//
// # Goroutines
//
// A Client owns one goroutine that connects, and while it is connected three more: the reader, the writer and the
// pinger. Close ends them all and waits for them.
package client
