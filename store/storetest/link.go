package storetest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Message types and request codes of PostgreSQL's protocol, version 3 (manual, "Message Formats").
const (
	msgParse, msgBind, msgClose, msgQuery, msgSync, msgFunctionCall = 'P', 'B', 'C', 'Q', 'S', 'F'
	msgReadyForQuery                                                = 'Z'

	codeSSL, codeGSS, codeCancel = 80877103, 80877104, 80877102
)

const maxMessage = 1 << 30

// link is one connection through the proxy: a goroutine for each direction.
type link struct {
	proxy  *Proxy
	client net.Conn
	server net.Conn

	// What the client has prepared, and the statements it has sent since the last Sync. Used by toServer only.
	prepared map[string]string
	batch    []string

	mu      sync.Mutex
	sent    int            // Syncs that the client has sent
	strikes map[int]*fault // by the number of the Sync whose answer they strike

	gone    chan struct{}
	cutOnce sync.Once
}

func newLink(p *Proxy, client, server net.Conn) *link {
	return &link{
		proxy: p, client: client, server: server,
		prepared: make(map[string]string),
		strikes:  make(map[int]*fault),
		gone:     make(chan struct{}),
	}
}

// cut closes both connections; whatever is under way in run ends.
func (l *link) cut() {
	l.cutOnce.Do(func() {
		close(l.gone)
		_ = l.client.Close() // a cut is a cut
		_ = l.server.Close()
	})
}

func (l *link) run() {
	var back sync.WaitGroup
	back.Go(func() {
		l.toClient()
		l.cut()
	})
	l.toServer()
	l.cut()
	back.Wait()
}

// toServer forwards what the client sends. It returns when either end is gone or a fault says so.
func (l *link) toServer() {
	r := bufio.NewReaderSize(l.client, 64<<10)
	w := bufio.NewWriterSize(l.server, 64<<10)
	typed, err := l.startup(r, w)
	if err != nil {
		return
	}
	if !typed { // a request to cancel: PostgreSQL answers by closing
		_, _ = io.Copy(io.Discard, r)
		return
	}
	var buf []byte
	for {
		kind, message, err := readMessage(r, buf)
		if err != nil || !l.flow() {
			return
		}
		buf = message
		l.note(kind, message[5:])
		if kind == msgSync || kind == msgQuery || kind == msgFunctionCall {
			if err := l.atSync(w); err != nil {
				return
			}
		}
		if _, err := w.Write(message); err != nil {
			return
		}
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return
			}
		}
	}
}

// startup forwards the untyped messages that open a connection. Encryption is declined on PostgreSQL's behalf.
func (l *link) startup(r *bufio.Reader, w *bufio.Writer) (typed bool, err error) {
	for {
		head, err := r.Peek(8)
		if err != nil {
			return false, err
		}
		size := binary.BigEndian.Uint32(head)
		code := binary.BigEndian.Uint32(head[4:])
		if size < 8 || size > 1<<16 {
			return false, errors.New("bad startup message")
		}
		if code == codeSSL || code == codeGSS {
			if _, err := r.Discard(int(size)); err != nil {
				return false, err
			}
			if _, err := l.client.Write([]byte{'N'}); err != nil {
				return false, err
			}
			continue
		}
		if _, err := io.CopyN(w, r, int64(size)); err != nil {
			return false, err
		}
		return code != codeCancel, w.Flush()
	}
}

// note keeps track of the statements that the next Sync is about.
func (l *link) note(kind byte, body []byte) {
	switch kind {
	case msgParse: // name, text
		name, rest := cString(body)
		sql, _ := cString(rest)
		l.prepared[name] = sql
	case msgBind: // portal, statement
		_, rest := cString(body)
		name, _ := cString(rest)
		l.batch = append(l.batch, l.prepared[name])
	case msgClose:
		if len(body) > 0 && body[0] == 'S' {
			name, _ := cString(body[1:])
			delete(l.prepared, name)
		}
	case msgQuery:
		sql, _ := cString(body)
		l.batch = append(l.batch, sql)
	}
}

// atSync stands ahead of a Sync. An error means that the connection is to be cut now.
func (l *link) atSync(w *bufio.Writer) error {
	f, delay := l.proxy.struck(l.batch)
	l.batch = l.batch[:0]
	if delay > 0 {
		if err := errors.Join(w.Flush(), l.pause(time.NewTimer(delay))); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.sent++
	if f != nil && (f.kind == dropDuring || f.kind == dropAfter) {
		l.strikes[l.sent] = f // it strikes at the answer
		f = nil
	}
	l.mu.Unlock()
	if f == nil {
		return nil
	}
	// PostgreSQL gets the statements, so that there is something to roll back, or to hold locks.
	if err := w.Flush(); err != nil {
		return err
	}
	if f.kind == dropBefore {
		l.cut()
		close(f.fired)
		return errCut
	}
	close(f.fired)
	select {
	case <-f.let:
		return nil
	case <-l.gone:
		return errCut
	}
}

// flow waits while traffic is frozen; false means that the connection is cut.
func (l *link) flow() bool {
	select {
	case <-l.proxy.flowing():
		return true
	case <-l.gone:
		return false
	}
}

var errCut = errors.New("the connection is cut")

func (l *link) pause(timer *time.Timer) error {
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.gone:
		return errCut
	}
}

// toClient forwards what PostgreSQL answers. Answers end with ReadyForQuery, one for each Sync and one ahead of the first.
func (l *link) toClient() {
	r := bufio.NewReaderSize(l.server, 64<<10)
	w := bufio.NewWriterSize(l.client, 64<<10)
	var buf []byte
	for answered := 0; ; {
		kind, message, err := readMessage(r, buf)
		if err != nil || !l.flow() {
			return
		}
		buf = message
		f := l.strike(answered)
		ready := kind == msgReadyForQuery
		if f != nil && ready {
			l.finish(f, w, message)
			return
		}
		if f == nil || f.kind == dropDuring {
			if _, err := w.Write(message); err != nil {
				return
			}
		}
		if ready {
			answered++
		}
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return
			}
		}
	}
}

// strike is the fault that strikes at the answer to Sync number n, counted from 1; 0 is the connection's own start.
func (l *link) strike(n int) *fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strikes[n]
}

// finish cuts the connection at a ReadyForQuery, by which PostgreSQL has committed.
func (l *link) finish(f *fault, w *bufio.Writer, message []byte) {
	if f.kind == dropDuring {
		_, _ = w.Write(message[:3]) // a torn message
	}
	_ = w.Flush() // the client may be gone first
	l.cut()
	close(f.fired)
}

// readMessage reads one typed message into buf, grown as needed, with its type byte and length.
func readMessage(r *bufio.Reader, buf []byte) (kind byte, message []byte, err error) {
	head, err := r.Peek(5)
	if err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(head[1:])) + 1
	if size < 5 || size > maxMessage {
		return 0, nil, errors.New("bad message length")
	}
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	_, err = io.ReadFull(r, buf)
	return buf[0], buf, err
}

// cString splits a zero-terminated string off.
func cString(b []byte) (string, []byte) {
	s, rest, _ := bytes.Cut(b, []byte{0})
	return string(s), rest
}

func (m Match) picks(sqls []string) bool {
	if m.SQL == "" {
		return true
	}
	for _, sql := range sqls {
		if strings.Contains(sql, m.SQL) {
			return true
		}
	}
	return false
}
