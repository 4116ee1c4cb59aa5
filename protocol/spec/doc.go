// Package spec describes the wire for machines: openapi.json is the OpenAPI 3.1 document of the REST resources,
// asyncapi.json the AsyncAPI 3 document of the WebSocket's frames. Both are generated, by `go generate ./protocol/spec`,
// from the action table, the limits and, for REST, the gateway's route table, and both take their JSON schemas
// (2020-12) from the same Go values; what this package adds are the answers of each action and the sentences for people.
// Tests hold the committed documents to what would be generated, and every golden frame and every recorded REST answer
// to the schemas.
//
// The package starts no goroutine and does no I/O; everything in it may be used from any goroutine.
package spec
