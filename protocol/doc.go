// Package protocol is the wire's vocabulary: what a frame may say and what is answered. It does no I/O and starts no
// goroutine; everything in it may be used from any goroutine unless a type says otherwise.
//
// # A frame's way in
//
// [Decode] reads a frame of either [Codec] in one pass over its bytes. The JSON scanner (scanner.go) and the MessagePack
// scanner (msgpack.go) validate everything that they pass, also what nobody will look at, because parts of a frame are
// copied verbatim into replies, into the database and into other people's frames. Above them the decoder (decode.go)
// walks the envelope, the headers and the body's typed fields; which fields an action has comes from the action table
// (action.go). What the wire calls malformed, of a wrong type or out of range is answered by Decode alone, before
// anything is stored, with an [*Error] that carries the recorded text.
//
// A decoded [Request] does not own its memory: strings and ranges point into the frame, or into the request's own
// scratch memory where an escape had to be resolved. Frame and request live and die together.
//
// # A resource's way in
//
// [DecodeREST] makes the same Request of a path, a query and a body. What an action takes from where is a row of a table
// (restform.go); the fields, their ranges and the action's check are those of frames, so that no range is decided
// twice. Only the order of the checks and the words of the answers are REST's: [Error.REST] has them. A patch of
// metadata is judged when it is decoded and done, by [ApplyPatch], when the metadata are at hand.
//
// # A reply's way out
//
// A [Writer] builds replies and pushes in either codec through one code path. [AppendReply] and [AppendError] wrap a
// body into Zaqar's envelope, which echoes the request from the frame's own bytes, or, for a frame with an id, into the
// compact one. [AppendNotification] and [AppendGap] are the pushes. Message bodies cross from one codec to the other
// by [Transcode]; bodies that could not are refused when they are posted.
//
// The golden frames in testdata are the contract with clients in every language; package golden plays them.
package protocol
