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
	"runtime/debug"
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

// BenchmarkIdleSessions measures what an idle session that has spoken once costs. The clients are bare sockets of this
// process; what they cost is measured first, by as many connections to a listener that only accepts, and subtracted.
func BenchmarkIdleSessions(b *testing.B) {
	const sessions = 5000
	for range b.N {
		bare := idleCost(b, sessions, acceptOnly(b), nil)
		g := serveTest(b, nil)
		frame := maskedFrame(true, opText, []byte(postFrame("q", "1", "1")))
		cost := idleCost(b, sessions, g.addr, func(conn net.Conn, br *bufio.Reader) {
			c := &rawClient{t: b, conn: conn, br: br}
			c.handshake(frame)
			c.upgraded()
			if err := c.skipFrame(); err != nil {
				b.Fatal(err)
			}
		})
		b.ReportMetric(float64(cost.resident-bare.resident/2)/sessions, "resident-B/session")
		b.ReportMetric(float64(cost.heap-bare.heap/2)/sessions, "heap-B/session")
		b.ReportMetric(float64(cost.stack)/sessions, "stack-B/session")
		b.ReportMetric(float64(cost.goroutines)/sessions, "goroutines/session")
	}
}

// processCost is what a process holds.
type processCost struct{ resident, heap, stack, goroutines int64 }

func measureProcess(b *testing.B) processCost {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("no /proc here")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(status))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return processCost{
		resident: pages * int64(os.Getpagesize()), heap: int64(m.HeapAlloc), stack: int64(m.StackInuse),
		goroutines: int64(runtime.NumGoroutine()),
	}
}

// idleCost opens n connections, has each speak, and returns what they cost while they are silent.
func idleCost(b *testing.B, n int, addr string, speak func(net.Conn, *bufio.Reader)) processCost {
	clients := make([]net.Conn, 0, n)
	br := bufio.NewReaderSize(nil, 4<<10)
	before := measureProcess(b)
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		br.Reset(conn)
		if speak != nil {
			speak(conn, br)
		}
		clients = append(clients, conn)
	}
	br.Reset(nil)
	after := measureProcess(b)
	for _, c := range clients {
		c.Close()
	}
	return processCost{
		after.resident - before.resident, after.heap - before.heap, after.stack - before.stack,
		after.goroutines - before.goroutines,
	}
}

// acceptOnly listens, and holds what connects until the benchmark ends.
func acceptOnly(b *testing.B) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		var held []net.Conn
		for {
			conn, err := ln.Accept()
			if err != nil {
				break
			}
			held = append(held, conn)
		}
		for _, conn := range held {
			conn.Close()
		}
	})
	b.Cleanup(func() {
		ln.Close()
		accepting.Wait()
	})
	return ln.Addr().String()
}
