package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// echoShapes are the loads of the echo benchmarks: connections, and frames that each sends before it waits for as many
// replies.
var echoShapes = []struct{ conns, depth int }{{1, 1}, {100, 1}, {1000, 1}, {100, 16}}

// BenchmarkSession measures a frame's whole way through a session and back, with a store that answers at once. Compare
// it with BenchmarkRawEcho of the same run.
func BenchmarkSession(b *testing.B) {
	for _, shape := range echoShapes {
		b.Run(fmt.Sprintf("%dx%d", shape.conns, shape.depth), func(b *testing.B) {
			g := serveTest(b, nil)
			benchEcho(b, g.addr, shape.conns, shape.depth)
		})
	}
}

// BenchmarkRawEcho is the reference: the library alone, read into a pooled buffer and written back.
func BenchmarkRawEcho(b *testing.B) {
	for _, shape := range echoShapes {
		b.Run(fmt.Sprintf("%dx%d", shape.conns, shape.depth), func(b *testing.B) {
			server := httptest.NewServer(http.HandlerFunc(serveEcho))
			defer server.Close()
			benchEcho(b, strings.TrimPrefix(server.URL, "http://"), shape.conns, shape.depth)
		})
	}
}

func serveEcho(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ctx := context.Background() // as sessions have it: one that can be cancelled costs more
	buf := newBuffer(4 << 10)
	defer buf.free()
	for {
		kind, reader, err := ws.Reader(ctx)
		if err != nil {
			return
		}
		n, err := io.ReadFull(reader, buf.b[:cap(buf.b)])
		if err != io.ErrUnexpectedEOF {
			return
		}
		if ws.Write(ctx, kind, buf.b[:n]) != nil {
			return
		}
	}
}

// benchEcho has conns clients send b.N frames in all, depth at a time.
func benchEcho(b *testing.B, addr string, conns, depth int) {
	frame := maskedFrame(true, opText, []byte(postFrame("q", `"`+strings.Repeat("x", 100)+`"`, "1")))
	burst := []byte(strings.Repeat(string(frame), depth))
	clients := make([]*rawClient, conns)
	for i := range clients {
		clients[i] = openRaw(b, addr)
		if err := clients[i].conn.SetDeadline(noDeadline); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, c := range clients {
		rounds := b.N / (conns * depth)
		if i == 0 {
			rounds++
		}
		wg.Go(func() {
			for range rounds {
				if _, err := c.conn.Write(burst); err != nil {
					b.Error(err)
					return
				}
				for range depth {
					if err := c.skipFrame(); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
	for _, c := range clients {
		c.conn.Close()
	}
}

// skipFrame reads over one frame.
func (c *rawClient) skipFrame() error {
	h, err := c.br.Peek(2)
	if err != nil {
		return err
	}
	n := int(h[1])
	skip := 2 + n
	if n == 126 {
		if h, err = c.br.Peek(4); err != nil {
			return err
		}
		skip = 4 + int(binary.BigEndian.Uint16(h[2:]))
	}
	_, err = c.br.Discard(skip)
	return err
}

// BenchmarkIdleSessions measures what an idle session that has spoken once costs the process, client side included in
// none of it but the kernel's: the clients are bare sockets.
func BenchmarkIdleSessions(b *testing.B) {
	const sessions = 5000
	for range b.N {
		g := serveTest(b, nil)
		clients := make([]net.Conn, 0, sessions)
		frame := maskedFrame(true, opText, []byte(postFrame("q", "1", "1")))
		br := bufio.NewReaderSize(nil, 4<<10)
		goroutines, before := runtime.NumGoroutine(), residentBytes(b)
		for range sessions {
			c := dialRaw(b, g.addr, frame)
			c.br = br
			br.Reset(c.conn)
			c.upgraded()
			if err := c.skipFrame(); err != nil {
				b.Fatal(err)
			}
			clients = append(clients, c.conn)
			c.br = nil
		}
		b.ReportMetric(float64(residentBytes(b)-before)/sessions, "bytes/session")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/sessions, "goroutines/session")
		for _, c := range clients {
			c.Close()
		}
	}
}

// residentBytes is the memory of the process after a collection.
func residentBytes(b *testing.B) int64 {
	runtime.GC()
	runtime.GC()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("no /proc here")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(status))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
