package client

import (
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
)

// Options configure a Client. The zero value is a working configuration.
type Options struct {
	// Project is the X-Project-ID of every request; "default" if empty.
	Project string
	// ClientID names this client to the gateway: message lists leave a client's own messages out unless they are
	// asked for. A random one if zero.
	ClientID uuid.UUID
	// Roles are the X-Roles of every request: "admin" may manage pools and flavors, and ask for the gateway's health. The
	// gateway believes them only while it is set to authenticate nobody.
	Roles []string
	// Extended asks for the dialect nusku.v1, in which pushes carry the message's id, marker and age.
	Extended bool
	// Header is sent with the upgrade request, beside X-Project-ID and Client-ID.
	Header http.Header
	// HTTPClient makes the connection; http.DefaultClient if nil. Its Timeout bounds the handshake only.
	HTTPClient *http.Client
	// MaxInFlight is how many requests may be without a reply at once; 1024 if zero.
	MaxInFlight int
	// PushBuffer is how many bytes of pushes may wait, in all, for Subscription.Next before the client stops reading
	// its socket; 1 MiB if zero. While requests are outstanding it reads on for their replies, up to 16 times as
	// much; past that they fail with ErrSlowConsumer.
	PushBuffer int
	// MaxFrame is the size in bytes of the largest frame that is accepted; 64 MiB if zero. (A page of 20 messages of
	// the gateway's largest size is 5 MiB.)
	MaxFrame int64
	// PingInterval is how long a silent connection is trusted before it is asked for a sign of life; 30 s if zero,
	// never if negative. PingTimeout is how long the answer may take; 10 s if zero.
	PingInterval time.Duration
	PingTimeout  time.Duration
	// Reconnect makes the client dial again when the connection is lost, until Close. It does not apply to the
	// first connection, which is Dial's.
	Reconnect bool
	// Backoff makes the schedule of one outage's attempts; by default 100 ms growing to 10 s, with jitter.
	Backoff func() backoff.BackOff
	// OnConnection, if it is set, is told of each loss (up false, err the reason) and each recovery (up true) of the
	// connection, from the client's own goroutine. It must not block, nor call Close.
	OnConnection func(up bool, err error)
}

// Subprotocol is the WebSocket subprotocol of the extended dialect.
const Subprotocol = "nusku.v1"

// slowFactor times PushBuffer is what may wait while replies are outstanding.
const slowFactor = 16

// withDefaults returns o with every zero field filled in.
func (o Options) withDefaults() Options {
	if o.Project == "" {
		o.Project = "default"
	}
	if o.ClientID == uuid.Nil {
		o.ClientID = uuid.New()
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 1024
	}
	if o.PushBuffer <= 0 {
		o.PushBuffer = 1 << 20
	}
	if o.MaxFrame <= 0 {
		o.MaxFrame = 64 << 20
	}
	if o.PingInterval == 0 {
		o.PingInterval = 30 * time.Second
	}
	if o.PingTimeout <= 0 {
		o.PingTimeout = 10 * time.Second
	}
	if o.Backoff == nil {
		o.Backoff = defaultBackoff
	}
	if o.OnConnection == nil {
		o.OnConnection = func(bool, error) {}
	}
	return o
}

// defaultBackoff is the schedule of Options.Backoff.
func defaultBackoff() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 100 * time.Millisecond
	b.MaxInterval = 10 * time.Second
	return b
}

// header is the header of the upgrade request: the session's defaults for every frame.
func (o Options) header() http.Header {
	h := o.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("X-Project-ID", o.Project)
	h.Set("Client-ID", o.ClientID.String())
	if len(o.Roles) > 0 {
		h.Set("X-Roles", strings.Join(o.Roles, ","))
	}
	return h
}
