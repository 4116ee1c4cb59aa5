// Package auth decides what a request may do.
//
// A signed URL (signedurl.go) lets whoever holds it use some methods on some resources of one project until a point in
// time, without any other right. Sign makes one for queue_share and for the links of a subscription's confirmation;
// Verify checks what a request presents, and URL.Allows says whether that covers the request. The signature is Zaqar's,
// so that URLs which a Zaqar server signed with the same key are good here. What it covers is narrower: see URL.Allows.
//
// Nothing here does I/O or starts a goroutine, and everything may be called concurrently.
package auth
