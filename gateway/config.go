package gateway

import (
	"errors"
	"net/http"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// Config holds the settings of sessions, of REST requests, and of the HTTP server in front of them. DefaultConfig has the defaults; New
// refuses a Config that Check does not like.
type Config struct {
	// Limits are what clients may ask for; a frame above Limits.MaxFrameBytes closes its session with 1009.
	Limits protocol.Limits
	// Push holds the settings of feeds and their hub.
	Push PushConfig
	// Handlers holds the settings of the actions' handlers.
	Handlers HandlerConfig
	// REST holds the settings of REST requests.
	REST RESTConfig
	// Streams holds the settings of event streams.
	Streams StreamConfig
	// Wait holds the settings of calls that wait for a message.
	Wait WaitConfig
	// Links holds the settings of signed URLs and of the confirmation of subscriptions.
	Links LinkConfig
	// Fallback answers requests that are neither upgrades nor probes nor for REST. Nil answers 404.
	Fallback http.Handler

	// AllowedOrigins are host patterns (path.Match, or scheme://host) of pages that may connect besides those of the
	// gateway's own host: localhost, 127.0.0.1, [::1], the address that it listens on, and ListenHost. Default none.
	AllowedOrigins []string
	// ListenHost is the host of the listen address as the operator wrote it, which may be a name. Default none.
	ListenHost string
	// MaxSessions is how many sessions may be open at a time; further upgrades are answered 503. 1 or more; default
	// 100,000.
	MaxSessions int
	// MaxHeaderBytes bounds the header of an HTTP request. Bytes, 1 KiB to 1 MiB; default 16 KiB.
	MaxHeaderBytes int
	// HeaderTimeout is how long a client may take to send the header of a request. 100 ms or more; default 10 s.
	HeaderTimeout time.Duration
	// HTTPTimeout is how long reading a request's body or writing its answer may take, and how long a connection that
	// is no session may stay open between requests. 1 s or more; default 60 s.
	HTTPTimeout time.Duration

	// ReadBuffer and WriteBuffer are what the WebSocket library keeps for each session. Bytes; 128 to 64 KiB, default
	// 512, and 160 (the largest control frame, with room) to 4 KiB, default 160.
	ReadBuffer, WriteBuffer int
	// MaxOutstanding is how many frames of a session may wait for their replies; past it the session is not read. 1
	// or more; default 256.
	MaxOutstanding int
	// MaxOutstandingBytes is how many bytes those frames may hold. Bytes, 1 KiB or more; default 4 MiB. One frame of
	// any allowed size always goes.
	MaxOutstandingBytes int
	// MaxReplyBytes is how many bytes of replies may wait for a session's socket; past it the session is not read.
	// Bytes, 1 KiB or more; default 4 MiB.
	MaxReplyBytes int
	// MaxFetches is how many of a session's outstanding frames may be claims and reads, whose replies can be
	// megabytes each. 1 or more; default 32.
	MaxFetches int
	// MemoryBudget is how many bytes of frames and replies all sessions together may hold; past it sessions are not
	// read, and go on in the order in which they came. Bytes, twice Limits.MaxFrameBytes or more; default 256 MiB.
	MemoryBudget int64
	// SessionAllowance is how much a session may hold in frames and replies also while the budget is used up, so that
	// others cannot keep it from being read and answered. While there are many sessions it is less: their share of a
	// quarter of the budget, 4 KiB at least. Bytes, 4 KiB or more; default 64 KiB.
	SessionAllowance int
	// PressureTimeout is how old the oldest byte that a session has not taken may be while others wait for memory.
	// Past it the sessions that hold most are closed, until a quarter of the budget is free. 10 ms or more; default 2 s.
	PressureTimeout time.Duration
	// MinFrameRate is what has to come of a large frame in each second but the first while others wait for the memory
	// that such frames are read into; else its session is closed. Bytes per second, 1 or more; default 64 KiB.
	MinFrameRate int
	// Blocking is how many handlers that wait for the database may run at a time; BlockingPerSession is how many of
	// them may be of one session. 1 or more; defaults 64 and 8.
	Blocking, BlockingPerSession int
	// RequestTimeout is how long after their frame's arrival such actions may take, the wait for their turn included;
	// then they are answered 503. 100 ms or more; default 4 s.
	RequestTimeout time.Duration

	// PingInterval is how long a session may be silent before it is pinged. 10 ms or more; default 25 s.
	PingInterval time.Duration
	// PongTimeout is how long a pinged session may stay silent before it is closed. 10 ms or more; default 20 s.
	PongTimeout time.Duration
	// FrameTimeout is how long a frame may take from its first byte to its last. 10 ms or more; default 30 s.
	FrameTimeout time.Duration
	// WriteTimeout is how long a socket may take nothing while frames wait for it before it is closed. 10 ms or more;
	// default 20 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long a closing session waits for its last bytes to go out and for the peer's close frame.
	// 10 ms or more; default 5 s.
	CloseTimeout time.Duration

	// ReadyInterval is how long an answer of the database's ping is good for /readyz. 10 ms or more; default 1 s.
	ReadyInterval time.Duration
	// ReadyTimeout is how long that ping may take. 10 ms or more; default 2 s.
	ReadyTimeout time.Duration
}

// DefaultConfig returns the settings that hold when nothing is set.
func DefaultConfig() Config {
	return Config{
		Limits:              protocol.DefaultLimits(),
		Push:                DefaultPushConfig(),
		Handlers:            DefaultHandlerConfig(),
		REST:                DefaultRESTConfig(),
		Streams:             DefaultStreamConfig(),
		Wait:                DefaultWaitConfig(),
		MaxSessions:         100_000,
		MaxHeaderBytes:      16 << 10,
		HeaderTimeout:       10 * time.Second,
		HTTPTimeout:         time.Minute,
		ReadBuffer:          512,
		WriteBuffer:         160,
		MaxOutstanding:      256,
		MaxOutstandingBytes: 4 << 20,
		MaxReplyBytes:       4 << 20,
		MaxFetches:          32,
		MemoryBudget:        256 << 20,
		SessionAllowance:    64 << 10,
		PressureTimeout:     2 * time.Second,
		MinFrameRate:        64 << 10,
		Blocking:            64,
		BlockingPerSession:  8,
		RequestTimeout:      4 * time.Second,
		PingInterval:        25 * time.Second,
		PongTimeout:         20 * time.Second,
		FrameTimeout:        30 * time.Second,
		WriteTimeout:        20 * time.Second,
		CloseTimeout:        5 * time.Second,
		ReadyInterval:       time.Second,
		ReadyTimeout:        2 * time.Second,
	}
}

// configRule is a condition on the settings and what to say when it does not hold.
type configRule struct {
	ok   bool
	text string
}

// Check returns an error that names every setting that is out of its range; nil if all is well.
func (c Config) Check() error {
	faults := []error{c.Limits.Check(), c.Push.Check(), c.Handlers.Check(), c.REST.Check(), c.Streams.Check(), c.Wait.Check(), c.Links.Check()}
	const shortest = 10 * time.Millisecond
	for _, rule := range []configRule{
		{c.MaxSessions >= 1, "MaxSessions must be at least 1"},
		{c.MaxHeaderBytes >= 1<<10 && c.MaxHeaderBytes <= 1<<20, "MaxHeaderBytes must be 1 KiB to 1 MiB"},
		{c.HeaderTimeout >= 10*shortest, "HeaderTimeout must be at least 100 ms"},
		{c.HTTPTimeout >= time.Second, "HTTPTimeout must be at least 1 s"},
		{c.ReadBuffer >= 128 && c.ReadBuffer <= 64<<10, "ReadBuffer must be 128 bytes to 64 KiB"},
		{c.WriteBuffer >= 160 && c.WriteBuffer <= 4<<10, "WriteBuffer must be 160 bytes to 4 KiB"},
		{c.MaxOutstanding >= 1, "MaxOutstanding must be at least 1"},
		{c.MaxOutstandingBytes >= 1<<10, "MaxOutstandingBytes must be at least 1 KiB"},
		{c.MaxReplyBytes >= 1<<10, "MaxReplyBytes must be at least 1 KiB"},
		{c.MaxFetches >= 1, "MaxFetches must be at least 1"},
		{c.MemoryBudget >= 2*int64(c.Limits.MaxFrameBytes), "MemoryBudget must be at least twice MaxFrameBytes"},
		{c.SessionAllowance >= smallFrame, "SessionAllowance must be at least 4 KiB"},
		{c.PressureTimeout >= shortest, "PressureTimeout must be at least 10 ms"},
		{c.MinFrameRate >= 1, "MinFrameRate must be at least 1 byte per second"},
		{c.Blocking >= 1, "Blocking must be at least 1"},
		{c.BlockingPerSession >= 1, "BlockingPerSession must be at least 1"},
		{c.RequestTimeout >= 10*shortest, "RequestTimeout must be at least 100 ms"},
		{c.PingInterval >= shortest, "PingInterval must be at least 10 ms"},
		{c.PongTimeout >= shortest, "PongTimeout must be at least 10 ms"},
		{c.FrameTimeout >= shortest, "FrameTimeout must be at least 10 ms"},
		{c.WriteTimeout >= shortest, "WriteTimeout must be at least 10 ms"},
		{c.CloseTimeout >= shortest, "CloseTimeout must be at least 10 ms"},
		{c.ReadyInterval >= shortest, "ReadyInterval must be at least 10 ms"},
		{c.ReadyTimeout >= shortest, "ReadyTimeout must be at least 10 ms"},
	} {
		if !rule.ok {
			faults = append(faults, errors.New("gateway: "+rule.text))
		}
	}
	return errors.Join(faults...)
}
