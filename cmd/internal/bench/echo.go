package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// ServeEcho is the raw reference of what WebSockets cost: it answers every frame with itself, in the cheapest way that
// coder/websocket offers to an ordinary program. It returns when ctx ends.
func ServeEcho(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: http.HandlerFunc(echoSession), ReadHeaderTimeout: dialTimeout}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// dialTimeout bounds one connection's handshake.
const dialTimeout = 30 * time.Second

var echoBuffers = sync.Pool{New: func() any { return new(echoBuffer) }}

type echoBuffer struct{ b []byte }

func echoSession(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer ws.CloseNow()
	ctx := context.Background() // one that can be cancelled costs a third more per frame
	for {
		kind, reader, err := ws.Reader(ctx)
		if err != nil {
			return
		}
		buffer := echoBuffers.Get().(*echoBuffer)
		buffer.b, err = appendAll(buffer.b[:0], reader)
		if err == nil {
			err = ws.Write(ctx, kind, buffer.b)
		}
		echoBuffers.Put(buffer)
		if err != nil {
			return
		}
	}
}

// appendAll reads r to its end into b.
func appendAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}
